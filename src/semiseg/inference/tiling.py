"""Tiles over an image of any size, blended smoothly; only one row of overlaps is kept in memory."""

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
    """Evenly spaced tiles of ``tile`` pixels along an axis of ``size``; neighbours share at least ``overlap`` of one.

    A tile is never larger than the axis. The weights are Hann windows divided by their sum, so that a tile fades
    out where its context ends and its neighbour takes over.
    """
    tile = min(tile, size)
    step = max(1, math.floor(tile * (1 - overlap)))
    count = 1 + math.ceil((size - tile) / step)
    starts = [round(i * (size - tile) / max(1, count - 1)) for i in range(count)]
    window = np.sin(np.pi * (np.arange(tile) + 0.5) / tile) ** 2  # half a pixel in, so that it is nowhere zero
    total = np.zeros(size)
    for start in starts:
        total[start : start + tile] += window
    return [Span(start, start + tile, (window / total[start : start + tile]).astype(np.float32)) for start in starts]


def blended(
    predict: Callable[[slice, slice], Tensor], size: tuple[int, int], tile: tuple[int, int], overlap: float
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Blocks (rows, columns, values (C,h,w)) that cover an image of ``size`` (H,W) once, each as soon as it is final.

    ``predict(rows, columns)`` returns the values of one tile, float (C,h,w), in a new tensor, which is overwritten.
    Between tiles, one tile and the overlap with the row below (C · overlap · tile height · W values) are kept: neither
    grows with the height of the image.
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
            values, final = values[:, :, : stop - column.start], slice(column.start, stop)
            if carried is None and overlaps:
                carried = values.new_zeros(len(values), max(overlaps), size[1])
            if carried is not None:
                # What a column got from the row above is read before what it passes to the row below overwrites it.
                values[:, :above] += carried[:, :above, final]
                carried[:, :below, final] = values[:, ready:]
            yield slice(row.start, row.start + ready), final, values[:, :ready]
        above = below
