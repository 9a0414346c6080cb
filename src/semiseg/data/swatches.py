"""Colours of classes in which no two look alike, for whatever is looked at; files keep the data set's own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import product

import numpy as np

from semiseg.data.base import Colour

ALIKE = 32
"""Colours nearer than this are hard to tell apart; Cityscapes' bus and train, its nearest two, are 40 apart."""
GRID = np.array(list(product(range(0, 256, 36), repeat=3)))


def distance(one: Colour, other: Colour) -> float:
    """How different two colours look, from 0 to 765: Euclidean in red, green and blue, weighted by the mean red, since
    the eye tells greens best (Riemersma's low-cost approximation)."""
    return float(_distances(np.array([one]), other)[0])


def told_apart(colours: Sequence[Colour], taken: Collection[Colour] = ()) -> tuple[Colour, ...]:
    """``colours`` in their order, but that one which looks like an earlier one or one of ``taken`` is replaced by the
    colour of a grid that is farthest from all others; of at most 256 classes no two have the same."""
    kept: dict[int, Colour] = {}
    for number, colour in enumerate(colours):
        if all(distance(colour, other) >= ALIKE for other in (*taken, *kept.values())):
            kept[number] = colour
    nearest = np.full(len(GRID), np.inf)
    for other in (*taken, *kept.values()):
        nearest = np.minimum(nearest, _distances(GRID, other))
    for number in range(len(colours)):
        if number not in kept:
            red, green, blue = GRID[nearest.argmax()].tolist()
            kept[number] = red, green, blue
            nearest = np.minimum(nearest, _distances(GRID, kept[number]))
    return tuple(kept[number] for number in range(len(colours)))


def _distances(many: np.ndarray, one: Colour) -> np.ndarray:
    """(N,) from (N,3) to one."""
    apart = many.astype(np.float64) - np.array(one)
    mean = (many[:, 0] + one[0]) / 2
    weights = np.stack([2 + mean / 256, np.full(len(many), 4.0), 2 + (255 - mean) / 256], axis=1)
    return np.sqrt((weights * apart**2).sum(axis=1))
