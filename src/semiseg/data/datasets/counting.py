"""How many classes masks show, where no dataset.yaml names them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semiseg.data.base import IGNORE
from semiseg.data.files import read_mask
from semiseg.data.masks import convert_command
from semiseg.data.rasters import geotiff
from semiseg.errors import SemisegError


def occurring_values(masks: Sequence[Path], ignored: Sequence[int]) -> dict[int, Path]:
    """Every value that is not ignored, with the first mask that holds it.

    Raises:
        SemisegError: a mask cannot be read, or is a colour image.
    """
    occurring: dict[int, Path] = {}
    for path in masks:
        for values in geotiff.mask_parts(path) if geotiff.reads(path) else [read_mask(path)]:
            for value in _values(values, path):
                if value not in (IGNORE, *ignored):
                    occurring.setdefault(int(value), path)
    return occurring


def _values(values: np.ndarray, path: Path) -> np.ndarray:
    """Every value of a mask, or of a window of it, once."""
    if values.ndim == 3:
        raise SemisegError(
            f"{path} is a colour image, not class indices; name classes and colours in dataset.yaml (classes:, "
            f"colours:), or run {convert_command(path)}"
        )
    # Counting bytes is linear, where np.unique sorts every pixel.
    return np.flatnonzero(np.bincount(values.ravel())) if values.dtype == np.uint8 else np.unique(values)


def count_classes(base: Path, masks: Sequence[Path], ignored: Sequence[int]) -> int:
    """Number of classes: the highest value in the masks that is not ignored, plus one; at least half must occur.

    Raises:
        SemisegError: a single class, or values that look like grey levels; or as :func:`occurring_values`.
    """
    occurring = occurring_values(masks, ignored)
    highest = max(occurring, default=-1)
    if highest < 1:
        raise SemisegError(
            f"the masks in {base} show a single class ({IGNORE} means ignored); number the classes 0, 1, …, name them "
            f"in dataset.yaml (classes:), or, for black and white masks, run {convert_command(masks[0])}"
        )
    # A stray value, or grey levels: a guess would train a network with hundreds of classes that no mask shows.
    if highest >= IGNORE or 2 * len(occurring) < highest + 1:
        raise SemisegError(
            f"{occurring[highest]} holds the value {highest}, and the masks {len(occurring)} different values in all; "
            "correct the mask, number the classes 0, 1, … and name them in dataset.yaml (classes:), or, for grey "
            f"levels, run {convert_command(masks[0])}"
        )
    return highest + 1
