"""Regions of a mask as polygons that exclude each other, with their holes.

A region is a set of pixels of one class that share sides, its outline the sides that it does not share with its own
class: corners are whole pixels, neighbours meet in the same line, and no point lies in two regions. Whoever gives a
pixel to the region that covers its centre, as :mod:`semiseg.data.convert.regions` and pycocotools do, gets the mask
back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

# Sides of a pixel in the order in which its outline is walked, its inside on the right hand: top, right, bottom, left.
_ALONG = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])  # rows, columns
_OUT = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
_ENDS = np.array([(0, 1), (1, 1), (1, 0), (0, 0)])  # the corner of the pixel at which each ends
_RIGHT, _LEFT = 1, 3
_OUTSIDE = -1


@dataclass(frozen=True)
class Region:
    """Pixels of one class that share sides.

    Attributes:
        number: of the class.
        outer: corners (n, 2), x and y in whole pixels, clockwise as seen; the first is not repeated.
        holes: corners of every hole, walked the other way round.
        joined: one outline (m, 2) for formats without holes: it goes into each hole and comes back the same way, along
            the middle of a row of pixels.
        pixels: how many.
    """

    number: int
    outer: np.ndarray
    holes: tuple[np.ndarray, ...]
    joined: np.ndarray
    pixels: int


def regions(mask: np.ndarray, classes: Collection[int]) -> list[Region]:
    """The regions of uint8 (H, W) that are of one of ``classes``, from top to bottom."""
    walked = _Walk(mask, classes)
    rings = walked.rings()
    area = [walked.area(ring) for ring in rings]
    within = walked.owners(rings, area)
    inside: dict[int, list[int]] = defaultdict(list)
    for hole in within:
        around = hole
        while around in within:
            around = within[around][0]
        inside[around].append(hole)
    found = []
    for k, ring in enumerate(rings):
        if area[k] < 0:
            continue
        holes = inside[k]
        found.append(Region(
            walked.number(ring), walked.corners(ring), tuple(walked.corners(rings[h]) for h in holes),
            walked.joined(rings, k, holes, within), area[k] + sum(area[h] for h in holes),
        ))  # fmt: skip
    return found


class _Walk:
    """The sides on the border of regions, each with the one that follows it.

    A side is told by the pixel that it belongs to and its place in ``_ALONG``; arrays hold one entry a side, sorted by
    place, row and column.
    """

    def __init__(self, mask: np.ndarray, classes: Collection[int]) -> None:
        self.height, self.width = mask.shape
        self.mask = np.pad(mask.astype(np.int16), 2, constant_values=_OUTSIDE)
        wanted = np.isin(mask, list(classes))
        parts = []
        for side in range(4):
            other = self.mask[_shifted(_OUT[side], mask.shape)]
            rows, columns = np.nonzero(wanted & (mask != other))
            parts.append(np.stack([np.full_like(rows, side), rows, columns]))
        self.side, self.row, self.column = np.concatenate(parts, axis=1)
        self.key = self._key(self.side, self.row, self.column)
        self.next = self._following()

    def _key(self, side: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        return (side * self.height + row) * self.width + column

    def _at(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        return self.mask[row + 2, column + 2]

    def _following(self) -> np.ndarray:
        """Index of the side that follows each: round the pixel, straight on, or round the next but one."""
        own = self._at(self.row, self.column)
        ahead = self.row + _ALONG[self.side, 0], self.column + _ALONG[self.side, 1]
        beyond = ahead[0] + _OUT[self.side, 0], ahead[1] + _OUT[self.side, 1]
        turns = self._at(*ahead) != own
        straight = ~turns & (self._at(*beyond) != own)
        side = np.where(turns, self.side + 1, np.where(straight, self.side, self.side - 1)) % 4
        row, column = (np.where(turns, a, np.where(straight, b, c))
                       for a, b, c in zip((self.row, self.column), ahead, beyond, strict=True))  # fmt: skip
        return np.searchsorted(self.key, self._key(side, row, column))

    def rings(self) -> list[np.ndarray]:
        """Closed walks as indices of their sides."""
        following, seen, found = self.next.tolist(), bytearray(len(self.key)), []
        for start in np.lexsort((self.column, self.row)).tolist():
            ring, at = [], start
            while not seen[at]:
                seen[at] = 1
                ring.append(at)
                at = following[at]
            if ring:
                found.append(np.array(ring))
        return found

    def number(self, ring: np.ndarray) -> int:
        return int(self._at(self.row[ring[0]], self.column[ring[0]]))

    def area(self, ring: np.ndarray) -> int:
        """Pixels that a ring surrounds; of a hole less than 0."""
        side, column = self.side[ring], self.column[ring]
        return int((column[side == _RIGHT] + 1).sum() - column[side == _LEFT].sum())

    def owners(self, rings: list[np.ndarray], area: list[int]) -> dict[int, tuple[int, tuple[int, int]]]:
        """For every hole the ring to its left in the same region, and the sides, its own first, between which nothing
        but the region lies."""
        ring_of = np.empty(len(self.key), np.int64)
        for k, ring in enumerate(rings):
            ring_of[ring] = k
        first = int(np.searchsorted(self.side, _LEFT))
        found = {}
        for k, ring in enumerate(rings):
            if area[k] > 0:
                continue
            own = ring[self.side[ring] == _RIGHT]
            start = int(own[self.column[own].argmin()])
            here = self._key(np.array(_LEFT), self.row[start], self.column[start])
            other = first + int(np.searchsorted(self.key[first:], here, side="right")) - 1
            found[k] = (int(ring_of[other]), (start, other))
        return found

    def corners(self, ring: np.ndarray) -> np.ndarray:
        """(n, 2), x and y, without corners on a straight line."""
        return _straightened(self._points(ring)) / 2

    def joined(
        self, rings: list[np.ndarray], outer: int, holes: list[int], within: dict[int, tuple[int, tuple[int, int]]]
    ) -> np.ndarray:  # fmt: skip
        """The outer ring and its holes in one walk."""
        into: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for hole in holes:
            ring, (_, side) = within[hole]
            into[ring][side].append(hole)
        walks: dict[int, list[int]] = {}  # a side stands for its end, its complement (~) for its middle
        # A hole lies to the right of the ring that it is joined to: what is farthest right is complete first.
        for k in [*sorted(holes, key=lambda h: -int(self.column[rings[h]].min())), outer]:
            order = rings[k].tolist()
            walk: list[int] = []
            if k != outer:
                begin = order.index(within[k][1][0])
                order = order[begin:] + order[:begin]
                walk.append(~order[0])
            for side in order:
                for hole in into[k].get(side, []):
                    walk += [~side, *walks.pop(hole), ~side]
                walk.append(side)
            walks[k] = walk if k == outer else [*walk, ~order[0]]
        return _straightened(self._points(np.array(walks[outer]))) / 2

    def _points(self, walk: np.ndarray) -> np.ndarray:
        """Twice x and y of where a walk comes by, (n, 2)."""
        side = np.where(walk < 0, ~walk, walk)
        pixel = np.stack([self.column[side], self.row[side]], axis=1)
        middle = 1 + _OUT[self.side[side]][:, ::-1]
        found: np.ndarray = 2 * pixel + np.where(walk[:, None] < 0, middle, 2 * _ENDS[self.side[side]][:, ::-1])
        return found


def _shifted(step: np.ndarray, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Where the neighbours of all pixels lie in the padded mask."""
    (down, across), (height, width) = step.tolist(), shape
    return slice(2 + down, 2 + down + height), slice(2 + across, 2 + across + width)


def _straightened(points: np.ndarray) -> np.ndarray:
    """Without those at which the walk goes straight on; where it turns back it keeps them."""
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    kept: np.ndarray = points[(cross != 0) | ((before * after).sum(axis=1) < 0)]
    return kept
