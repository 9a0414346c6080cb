"""How wide the regions of each class are: what is lost first when images are made smaller."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

LINES = 64  # rows and columns of a mask that are looked at


def finest_class(masks: Iterable[np.ndarray], classes: int) -> tuple[int, float] | None:
    """The class with the narrowest regions, and their usual width as a share of a mask's small side.

    A region's width is the length of a run of its class along a row or a column. Half of a class's pixels lie in runs
    at least as long as its width, in the direction in which that is less: a few specks do not make a class fine.

    Args:
        masks: uint8 (H, W), classes 0…C-1; other values count for nothing.
        classes: C.

    Returns:
        None where no mask shows a class.
    """
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    columns: list[tuple[np.ndarray, np.ndarray]] = []
    for mask in masks:
        for found, lines in ((rows, mask), (columns, mask.T)):
            values, lengths = runs(lines[:: max(1, len(lines) // LINES)])
            found.append((values, lengths / min(mask.shape)))
    if not rows:
        return None
    widths = {}
    for k in range(classes):
        both = [
            _usual(np.concatenate([lengths[values == k] for values, lengths in found])) for found in (rows, columns)
        ]
        if both[0] and both[1]:
            widths[k] = min(both)
    if not widths:
        return None
    finest = min(widths, key=lambda k: widths[k])
    return finest, widths[finest]


def runs(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and lengths of the runs of equal values in each line of an array (N, L)."""
    begins = np.ones(lines.shape, bool)
    begins[:, 1:] = lines[:, 1:] != lines[:, :-1]
    starts = np.flatnonzero(begins)
    return lines.ravel()[starts], np.diff(np.append(starts, lines.size))


def _usual(lengths: np.ndarray) -> float:
    """The length at which half of the pixels lie in runs that are at least as long; 0 without runs."""
    if not lengths.size:
        return 0.0
    ordered = np.sort(lengths)
    covered = np.cumsum(ordered)
    return float(ordered[np.searchsorted(covered, covered[-1] / 2)])
