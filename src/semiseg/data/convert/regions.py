"""Outlines as pixels. A pixel belongs to a region that covers its centre; pixel (0, 0) covers 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from semiseg.data.base import Size

Point = tuple[float, float]

_FINE = 4  # canvas pixels for one of the picture, each way
FAR = 1e6
"""Pixels; corners farther away are moved there, since Pillow counts in 32 bits."""
BEYOND = 1e12
_CANVAS = 2**24  # pixels of a canvas at most


@dataclass(frozen=True)
class Patch:
    """The pixels of a region: bool (h, w), and where its first row and column lie in the picture."""

    top: int
    left: int
    mask: np.ndarray

    def window(self, picture: np.ndarray) -> np.ndarray:
        """The part of ``picture`` (H, W) under the patch, a view."""
        height, width = self.mask.shape
        return picture[self.top : self.top + height, self.left : self.left + width]


def from_mask(mask: np.ndarray, size: Size, top: int = 0, left: int = 0) -> Patch:
    """The set pixels of bool (h, w), placed at ``top``, ``left`` of a picture of ``size``; what sticks out is cut."""
    rows, columns = slice(max(0, -top), max(0, size[0] - top)), slice(max(0, -left), max(0, size[1] - left))
    cut = mask[rows, columns]
    top, left = max(0, top), max(0, left)
    occupied = np.flatnonzero(cut.any(1)), np.flatnonzero(cut.any(0))
    if not len(occupied[0]):
        return Patch(0, 0, np.zeros((0, 0), bool))
    (first, last), (begin, end) = ((int(found[0]), int(found[-1]) + 1) for found in occupied)
    return Patch(top + first, left + begin, cut[first:last, begin:end].copy())


def number(value: Any) -> float:
    """A coordinate of an export, as a number or in digits; beyond all pictures it is BEYOND.

    Raises:
        ValueError: it is not finite, or is true or false.
        TypeError: something else.
    """
    if isinstance(value, bool):
        raise ValueError(f"{value} for a number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ValueError("a number that is not finite")
    return min(max(found, -BEYOND), BEYOND)


def polygon(points: Sequence[Sequence[float]], size: Size) -> Patch:
    """Pixels of a picture of ``size`` (height, width) whose centres lie in the polygon of (x, y) corners in pixels.

    Pillow fills it on a canvas four times as fine: it takes whole coordinates and fills the border too. Corners get odd
    coordinates and centres are read at even ones, so no centre lies on a straight edge and neighbours that share an
    edge share no pixel.
    """
    xy = np.asarray(points, float).reshape(-1, 2).clip(-FAR, FAR)
    height, width = size
    left, top = np.floor(xy.min(0)).clip(0, (width, height)).astype(int).tolist()
    right, bottom = np.ceil(xy.max(0)).clip(0, (width, height)).astype(int).tolist()
    mask = np.zeros((max(0, bottom - top), max(0, right - left)), bool)
    if not mask.size:
        return Patch(0, 0, np.zeros((0, 0), bool))
    step = max(1, _CANVAS // (mask.shape[1] * _FINE**2))
    for first in range(0, len(mask), step):
        rows = mask[first : first + step]
        canvas = Image.new("L", (rows.shape[1] * _FINE, rows.shape[0] * _FINE))
        corners = 2 * np.floor((xy - (left, top + first)) * (_FINE / 2)).astype(int) + 1
        ImageDraw.Draw(canvas).polygon([(int(x), int(y)) for x, y in corners], fill=1)
        rows[:] = np.asarray(canvas)[_FINE // 2 :: _FINE, _FINE // 2 :: _FINE]
    return Patch(top, left, mask)


def with_holes(outline: Sequence[Sequence[float]], holes: Sequence[Sequence[Sequence[float]]], size: Size) -> Patch:
    """Pixels of a :func:`polygon` that lie in none of its holes."""
    outer = polygon(outline, size)
    if not holes or not outer.mask.size:
        return outer
    whole = np.zeros(size, bool)
    outer.window(whole)[outer.mask] = True
    for hole in holes:
        inner = polygon(hole, size)
        inner.window(whole)[inner.mask] = False
    return from_mask(whole, size)


def rectangle(x: float, y: float, width: float, height: float, degrees: float = 0) -> list[Point]:
    """Corners of a rectangle with its first corner at (x, y), turned about it clockwise as seen."""
    corners = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)]
    return [(x + across, y + down) for across, down in _turned(corners, degrees)]


def ellipse(x: float, y: float, across: float, down: float, degrees: float = 0) -> list[Point]:
    """Points on an ellipse around (x, y) with the two radii, turned clockwise as seen; off by 0.05 pixels at most."""
    count = max(16, math.ceil(10 * math.sqrt(min(max(across, down, 1), FAR))))
    angles = [2 * math.pi * i / count for i in range(count)]
    border = [(across * math.cos(angle), down * math.sin(angle)) for angle in angles]
    return [(x + right, y + below) for right, below in _turned(border, degrees)]


def _turned(points: list[Point], degrees: float) -> list[Point]:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [(x * cosine - y * sine, x * sine + y * cosine) for x, y in points]
