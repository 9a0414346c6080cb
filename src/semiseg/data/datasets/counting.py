"""How many classes masks show, where nothing names them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semiseg.data.base import IGNORE
from semiseg.data.files import read_mask
from semiseg.data.layouts.command import ConvertFirst, convert_command
from semiseg.data.rasters import geotiff

OBJECTS = 10  # masks that go up to fewer numbers are never taken for masks that number objects
LOOKED_AT = 20  # masks


def occurring_values(base: Path, masks: Sequence[Path], ignored: Sequence[int]) -> dict[int, Path]:
    """Every value that is not ignored, with the first mask that holds it, of masks below ``base``.

    Raises:
        SemisegError: a mask cannot be read, or is a colour image.
    """
    occurring: dict[int, Path] = {}
    for path in masks:
        for value in _values(base, path):
            if value not in (IGNORE, *ignored):
                occurring.setdefault(value, path)
    return occurring


def count_classes(base: Path, masks: Sequence[Path], ignored: Sequence[int]) -> int:
    """Number of classes: the highest value in the masks that is not ignored, plus one; at least half must occur.

    Raises:
        SemisegError: a single class, or values that look like grey levels or numbers of objects; or as
            :func:`occurring_values`.
    """
    occurring = occurring_values(base, masks, ignored)
    highest = max(occurring, default=-1)
    if highest < 1:
        raise ConvertFirst(
            f"the masks in {base} show a single class ({IGNORE} means ignored); number the classes 0, 1, …, name them "
            "in dataset.yaml (classes:), or, for black and white masks, run",
            convert_command(base),
        )
    # A stray value, or grey levels: a guess would train a network with hundreds of classes that no mask shows.
    if highest >= IGNORE or 2 * len(occurring) < highest + 1:
        shown = ", ".join(str(value) for value in sorted(occurring)[:5])
        raise ConvertFirst(
            f"{occurring[highest]} holds the value {highest}, and the masks {len(occurring)} different values in all "
            f"({shown}; not counting {IGNORE}): {highest} is no class number; correct the mask, number the classes 0, "
            "1, … and name them in dataset.yaml (classes:), or, for grey levels, run",
            convert_command(base),
        )
    if highest >= OBJECTS and _number_objects(base, masks[:LOOKED_AT]):
        raise ConvertFirst(
            f"the masks in {base} seem to number objects one by one, up to {highest} in {occurring[highest]}, which "
            "are no classes; if they are classes, name them in dataset.yaml (classes:), else run",
            convert_command(base, "instances"),
        )
    return highest + 1


def _number_objects(base: Path, masks: Sequence[Path]) -> bool:
    """Whether every mask holds 1, 2, … to a number of its own: labels of objects, as napari and ImageJ save them."""
    found = [sorted(set(_values(base, path)) - {0}) for path in masks]
    without_gaps = all(values == list(range(1, len(values) + 1)) for values in found)
    return without_gaps and len({len(values) for values in found}) > 1


def _values(base: Path, path: Path) -> list[int]:
    found: set[int] = set()
    for values in geotiff.mask_parts(path) if geotiff.reads(path) else [read_mask(path)]:
        if values.ndim == 3:
            raise ConvertFirst(
                f"{path} is a colour image, not class indices; name classes and colours in dataset.yaml (classes:, "
                "colours:), or run",
                convert_command(base),
            )
        # Counting bytes is linear, where np.unique sorts every pixel.
        found.update(np.flatnonzero(np.bincount(values.ravel())) if values.dtype == np.uint8 else np.unique(values))
    return sorted(map(int, found))
