"""An opened image file as numbers: any count of channels, any type, whole or a window of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from semiseg.data.base import Size
from semiseg.data.windows import Window

SAMPLE = 2**20
"""Pixels of one file that intensities are measured on, evenly spread; all of them where it has fewer."""


class Raster(ABC):
    """An image file, opened; a context manager. Channels are counted from 0 here, from 1 in messages and settings.

    Attributes:
        path: of the file.
        size: (height, width) in pixels.
        count: channels, opacity included.
        dtype: of the stored numbers.
        alpha: the channel that is opacity, or None.
    """

    path: Path
    size: Size
    count: int
    dtype: np.dtype
    alpha: int | None = None

    @abstractmethod
    def read(self, channels: Sequence[int], window: Window | None = None) -> np.ndarray:
        """Numbers as stored, (h, w, len(channels)), of the whole picture or of a window inside it."""

    @abstractmethod
    def valid(self, channels: Sequence[int], window: Window | None = None) -> np.ndarray | None:
        """bool (h, w): pixels that are content in any of the channels; None where all are."""

    def sample(self, channels: Sequence[int]) -> np.ndarray:
        """Values (n, len(channels)) of content, of at most about ``SAMPLE`` pixels evenly spread over the picture."""
        step = stride(self.size)
        values = self.read(channels)[::step, ::step]
        valid = self.valid(channels)
        return values.reshape(-1, len(channels)) if valid is None else values[valid[::step, ::step]]

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class ArrayRaster(Raster):
    """A picture that is decoded as a whole.

    Args:
        path: of the file.
        values: numbers (H, W, C).
        alpha: the channel that is opacity, or None.
    """

    def __init__(self, path: Path, values: np.ndarray, alpha: int | None = None) -> None:
        self.path, self.values, self.alpha = path, values, alpha
        self.size, self.count, self.dtype = (values.shape[0], values.shape[1]), values.shape[2], values.dtype

    def read(self, channels: Sequence[int], window: Window | None = None) -> np.ndarray:
        part = self.values if window is None else window.cut(self.values, 0)
        return part[..., list(channels)]

    def valid(self, channels: Sequence[int], window: Window | None = None) -> np.ndarray | None:
        if self.alpha is None or self.alpha in channels:
            return finite(self.read(channels, window))
        return self.read([self.alpha], window)[..., 0] > 0

    def close(self) -> None:
        self.values = self.values[:0]


def finite(values: np.ndarray) -> np.ndarray | None:
    """bool (h, w): pixels of (h, w, C) with a number in some channel; None for integers, and where all have."""
    if values.dtype.kind != "f":
        return None
    found = np.isfinite(values).any(axis=2)
    return None if found.all() else found


def stride(size: Size) -> int:
    """Rows and columns from one sampled pixel to the next."""
    return max(1, math.ceil(math.sqrt(size[0] * size[1] / SAMPLE)))
