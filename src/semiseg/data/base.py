"""What a data set is to the rest of the package: a description, and one image set for each split."""

from __future__ import annotations

import colorsys
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

IGNORE = 255
"""Mask value, and label, of pixels that count for nothing: unknown, void, or padding."""

Colour = tuple[int, int, int]
"""Red, green and blue, each 0…255."""

Size = tuple[int, int]
"""(height, width) in pixels."""

Resize = Size | int
"""What ``data.resize`` brings an image to: one size for all, or its small side, in pixels, in its own proportions."""


def resized(size: Size, resize: Resize | None) -> Size:
    """(height, width) of an image of ``size`` once it is brought to ``resize``; None leaves it as it is."""
    if resize is None:
        return size
    if not isinstance(resize, int):
        return resize
    height, width = size
    small = min(size)
    return max(1, round(height * resize / small)), max(1, round(width * resize / small))


def default_colours(count: int) -> tuple[Colour, ...]:
    """``count`` distinct RGB colours, the same on every call: hues a golden angle apart, in three brightnesses."""
    colours = []
    for i in range(count):
        red, green, blue = colorsys.hsv_to_rgb(i * 0.618034 % 1, (0.85, 0.55, 0.95)[i % 3], (0.9, 0.75, 0.55)[i % 3])
        colours.append((round(255 * red), round(255 * green), round(255 * blue)))
    return tuple(colours)


@dataclass(frozen=True)
class DatasetInfo:
    """Classes of a data set: names and RGB colours by class, and the label value that is ignored.

    ``ids`` are the values of the classes in mask files, where these are not 0, 1, …: labels in memory hold classes,
    predictions are written with the ids.
    """

    name: str
    classes: tuple[str, ...]
    colours: tuple[Colour, ...]
    ignore_index: int = IGNORE
    ids: tuple[int, ...] = ()

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def values(self) -> tuple[int, ...]:
        """Of each class its value in mask files."""
        return self.ids or tuple(range(len(self.classes)))


class ImageSet(ABC):
    """One split of a data set. ``names`` is sorted and unique; reading is safe from several threads."""

    info: DatasetInfo
    names: list[str]
    remarks: tuple[str, ...] = ()
    """What was put right or left out on the way, for ``semiseg data check``; grows as files are read."""

    def remark(self, text: str) -> None:
        """Note something that a user should know, and warn of it."""
        self.remarks += (text,)
        warnings.warn(text, stacklevel=2)

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def image(self, i: int) -> np.ndarray:
        """Image i, uint8 (H, W, 3) RGB, or as many channels as ``data.channels`` says."""

    def size_of(self, i: int) -> Size:
        """(height, width) of image i, of files without decoding it where the header says so."""
        image = self.image(i)
        return image.shape[0], image.shape[1]

    @abstractmethod
    def label(self, i: int) -> np.ndarray | None:
        """Mask of image i, uint8 (H, W) with classes 0…C-1 and 255 where ignored; None where there is none.

        Raises:
            SemisegError: the mask cannot be read, or holds values that are no class.
        """

    def blank(self, i: int) -> np.ndarray | None:
        """Pixels of image i that are no content, bool (H, W), such as transparent ones; None where all are.

        Labels are 255 there, and no pseudo-label is made of them.
        """
        return None

    @abstractmethod
    def has_label(self, i: int) -> bool:
        """Whether image i has a mask, without decoding it."""
