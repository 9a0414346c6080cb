"""Tiles over an image of any size, blended smoothly, with memory for one row of overlaps only."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Span:
    """Where a tile lies along one axis, and its weights: float32 (stop - start,), summing to 1 over the tiles."""

    start: int
    stop: int
    weights: np.ndarray


def spans(size: int, tile: int, overlap: float) -> list[Span]:
    """Tiles of `tile` pixels along an axis of `size`, evenly spaced, neighbours sharing at least `overlap` of one.

    A tile is never larger than the axis. The weights are Hann windows divided by their sum, so that a tile fades
    out where its context ends and its neighbour takes over.
    """
    tile = min(tile, size)
    step = max(1, math.floor(tile * (1 - overlap)))
    count = 1 + math.ceil((size - tile) / step)
    starts = [round(i * (size - tile) / max(1, count - 1)) for i in range(count)]
    window = np.sin(np.pi * (np.arange(tile) + 0.5) / tile) ** 2  # half a pixel in: nowhere zero
    total = np.zeros(size)
    for start in starts:
        total[start : start + tile] += window
    return [Span(start, start + tile, (window / total[start : start + tile]).astype(np.float32)) for start in starts]


def blended(
    predict: Callable[[slice, slice], Tensor], size: tuple[int, int], tile: tuple[int, int], overlap: float
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Blocks (rows, columns, values (C,h,w)) that cover an image of `size` (H,W) once, each as soon as it is final.

    `predict(rows, columns)` gives the values of one tile, float (C,h,w), in a tensor of its own. Kept between the
    tiles are the overlaps with the row below, C · overlap · tile height · W values, and one tile: neither grows with
    the image's height.
    """
    rows, columns = spans(size[0], tile[0], overlap), spans(size[1], tile[1], overlap)
    overlaps = [row.stop - after.start for row, after in itertools.pairwise(rows)]
    carried: Tensor | None = None
    above = 0
    for row, below in zip(rows, [*overlaps, 0], strict=True):
        left: Tensor | None = None
        ready = row.stop - row.start - below
        for column, after in zip(columns, [*columns[1:], None], strict=True):
            values = predict(slice(row.start, row.stop), slice(column.start, column.stop))
            weights = torch.from_numpy(np.outer(row.weights, column.weights))
            values.mul_(weights.to(values))
            if left is not None:
                values[:, :, : left.shape[2]] += left
            stop = size[1] if after is None else after.start
            left = values[:, :, stop - column.start :].clone()
            values, place = values[:, :, : stop - column.start], slice(column.start, stop)
            if carried is None and overlaps:
                carried = values.new_zeros(len(values), max(overlaps), size[1])
            if carried is not None:
                # A column is added once and overwritten by what it owes to the next row: one buffer serves both.
                values[:, :above] += carried[:, :above, place]
                carried[:, :below, place] = values[:, ready:]
            yield slice(row.start, row.start + ready), place, values[:, :ready]
        above = below
