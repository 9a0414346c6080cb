"""Crops as windows of an image: drawing one, the context around it, two that overlap, and what two have in common."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from semiseg.data.base import Size
from semiseg.errors import UsageError


class Window(NamedTuple):
    """A crop's rectangle in the pixels of its image; what reaches beyond the image's bottom or right is padding."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, array: np.ndarray, fill: int | float) -> np.ndarray:
        """The crop, (height, width, ...), of an array (H, W, ...), with ``fill`` on padding."""
        part = array[self.top : self.top + self.height, self.left : self.left + self.width]
        missing = ((0, self.height - part.shape[0]), (0, self.width - part.shape[1]))
        if missing == ((0, 0), (0, 0)):
            return part
        return np.pad(part, (*missing, *((0, 0),) * (array.ndim - 2)), constant_values=fill)

    def inside(self, size: Size) -> np.ndarray:
        """Where the crop shows an image of ``size``: bool (height, width), false on padding."""
        inside = np.zeros((self.height, self.width), bool)
        inside[: max(0, size[0] - self.top), : max(0, size[1] - self.left)] = True
        return inside


def tiles_of(size: Size, side: int) -> list[Window]:
    """Windows of at most ``side`` pixels and nearly equal sizes that cover an image of ``size`` once."""
    edges = []
    for length in size:
        parts = -(-length // side)
        edges.append([length * k // parts for k in range(parts + 1)])
    return [
        Window(top, left, bottom - top, right - left)
        for top, bottom in zip(edges[0][:-1], edges[0][1:], strict=True)
        for left, right in zip(edges[1][:-1], edges[1][1:], strict=True)
    ]


def draw_window(size: Size, crop: Size, draws: np.random.Generator) -> Window:
    """A window of ``crop`` pixels, uniform among those within an image of ``size``.

    An axis along which the image is smaller than the crop starts at 0, and is padded.
    """
    top = int(draws.integers(max(0, size[0] - crop[0]) + 1))
    left = int(draws.integers(max(0, size[1] - crop[1]) + 1))
    return Window(top, left, *crop)


def widen(window: Window, size: Size, context: Size) -> Window:
    """The larger window of ``context`` pixels around a crop, within the image as far as that is large enough.

    It has come as far across the image as the crop has, so that it is as uniform, and nothing is drawn for it.

    Args:
        window: the crop, as :func:`draw_window` gives it.
        size: (height, width) of the image.
        context: (height, width) of the larger window, at least the crop's.
    """
    top, left = (
        round(start * max(0, length - outer) / max(1, length - inner))
        for start, length, outer, inner in zip(window[:2], size, context, window[2:], strict=True)
    )
    return Window(top, left, *context)


def draw_pair(size: Size, crop: Size, overlap: float, draws: np.random.Generator) -> tuple[Window, Window]:
    """Two windows of one image that share at least the fraction ``overlap`` of their area.

    The first is the one that :func:`draw_window` gives; the second is uniform among all others that share enough with
    it. They are the same only where the image is no larger than the crop, so that there is no other. Two crops under
    different contexts are what context-aware consistency compares (Lai et al., CVPR 2021).

    Args:
        size: (height, width) of the image.
        crop: (height, width) of both windows.
        overlap: fraction of the crop's area, padding included.
        draws: generator of the crop's position in the run.

    Raises:
        UsageError: an overlap that windows which differ cannot have; see :func:`check_overlap`.
    """
    check_overlap(crop, overlap)
    first = draw_window(size, crop, draws)
    height, width = crop
    needed = _pixels_needed(crop, overlap)
    # For every top of the second window: the lefts, from ``low`` to ``high``, that leave enough in common.
    tops = np.arange(max(0, size[0] - height) + 1)
    rows = np.maximum(0, height - np.abs(tops - first.top))
    columns = -(-needed // np.maximum(1, rows))
    last = max(0, size[1] - width)
    reach = width - columns if needed else np.full(len(tops), last)
    low, high = np.maximum(0, first.left - reach), np.minimum(last, first.left + reach)
    choices = np.where(rows * width >= needed, high - low + 1, 0)
    choices[first.top] -= 1  # the first window itself
    ends = choices.cumsum()
    if ends[-1] == 0:
        return first, first
    drawn = int(draws.integers(ends[-1]))
    top = int(np.searchsorted(ends, drawn, side="right"))
    left = int(low[top] + drawn - (ends[top] - choices[top]))
    if top == first.top and left >= first.left:
        left += 1
    return first, Window(top, left, height, width)


def check_overlap(crop: Size, overlap: float) -> None:
    """Refuse an overlap that two different windows of ``crop`` pixels may not be able to have.

    Raises:
        UsageError: below 0, or more than a shift by one pixel along the shorter side leaves.
    """
    largest = 1 - 1 / min(crop)
    if not (0 <= overlap <= 1 and _pixels_needed(crop, overlap) <= _pixels_needed(crop, largest)):
        raise UsageError(
            f"two crops of {crop[0]}x{crop[1]} pixels cannot differ and share {overlap:g} of their area; "
            f"set the overlap between 0 and {math.floor(1000 * largest) / 1000:g}"
        )


def common(first: Window, second: Window) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Rows and columns of the rectangle that two windows of one image share, in the pixels of each.

    With ``one, two = common(first, second)``, ``crop_1[(..., *one)]`` and ``crop_2[(..., *two)]`` of the two crops
    (..., height, width) show the same pixels of the image, and the same padding. Both are empty where the windows do
    not meet.
    """
    top, left = max(first.top, second.top), max(first.left, second.left)
    bottom = max(top, min(first.top + first.height, second.top + second.height))
    right = max(left, min(first.left + first.width, second.left + second.width))
    of_first, of_second = (
        (slice(top - window.top, bottom - window.top), slice(left - window.left, right - window.left))
        for window in (first, second)
    )
    return of_first, of_second


def _pixels_needed(crop: Size, overlap: float) -> int:
    """The fewest whole pixels that make up ``overlap`` of the crop; rounding of the product asks for no more."""
    return math.ceil(overlap * crop[0] * crop[1] - 1e-6)
