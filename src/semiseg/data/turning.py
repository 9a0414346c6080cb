"""Masks beside images that a camera has turned: drawn on the upright image, or on its pixels as stored."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from semiseg.data.pictures import TURNED, opened, orientation, upright_size
from semiseg.errors import SemisegError

Drawn = Literal["upright", "stored"]
"""How masks were drawn: on the images as one sees them, or on the pixels in the file, whatever their EXIF tag says."""


def fit_to_image(label: np.ndarray, mask: Path, image: Path, drawn: Drawn | None) -> np.ndarray:
    """A mask, (H, W) or (H, W, 3), as the upright image has its pixels.

    A mask with an orientation of its own was turned by it already; of the others ``drawn`` says, and where nothing
    does, the size: one that fits only the stored pixels was drawn on them.

    Raises:
        SemisegError: the size fits both ways and nothing says which is meant, or it does not fit at all.
    """
    with opened(image) as header:
        way, size = orientation(header), upright_size(header)
    if way != 1 and not _has_orientation(mask):
        stored = size[::-1] if way in TURNED else size
        if drawn is None and label.shape[:2] == size == stored:
            raise SemisegError(
                f"{mask}: an EXIF tag (orientation {way}) turns its image, and nothing says whether the mask was drawn "
                "on the upright image or on the pixels as stored; add the line orientation: upright, or orientation: "
                "stored, to dataset.yaml"
            )
        if drawn == "stored" or (drawn is None and label.shape[:2] == stored):
            label = turn(label, way)
    if label.shape[:2] != size:
        raise SemisegError(
            f"{mask}: mask of {label.shape[:2]}, image of {size} (height, width); make the mask as large as its image"
        )
    return label


def turn(values: np.ndarray, way: int) -> np.ndarray:
    """Stored pixels (H, W, …) made upright by an EXIF orientation, 1 to 8."""
    if way in TURNED:
        values = values.swapaxes(0, 1)
    if way in (3, 4, 7, 8):
        values = values[::-1]
    if way in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)


def _has_orientation(mask: Path) -> bool:
    with opened(mask) as header:
        return orientation(header) != 1
