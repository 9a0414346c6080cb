"""Images of more than 8 bits, brought to 8 by a mapping that is the same for all and is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from semiseg.data.convert.export import Picture
from semiseg.data.pictures import FORMATS, is_deep
from semiseg.errors import SemisegError
from semiseg.runtime.extras import first_line

DEPTHS = (10, 12, 14, 16)
"""Bits that cameras and microscopes have."""


def depth_of(pictures: Sequence[Picture]) -> tuple[int, list[str]]:
    """Bits of the deepest image, 8 where none has more, and a sentence on what becomes of those that do.

    Raises:
        SemisegError: an image of floating-point values, or of colours of more than 8 bits.
    """
    deep = [picture.file for picture in pictures if isinstance(picture.file, Path) and _header_is_deep(picture.file)]
    if not deep:
        return 8, []
    highest = max(int(read_deep(path).max()) for path in deep)
    bits = next(depth for depth in DEPTHS if highest < 2**depth)
    step = 2 ** (bits - 8)
    return bits, [f"{len(deep)} images of more than 8 bits, with values up to {highest}, are taken for {bits} bits and "
                  f"brought to 8: the values are divided by {step}"]  # fmt: skip


def read_deep(path: Path) -> np.ndarray:
    """A grey image of 16 bits, upright, (H, W).

    Raises:
        SemisegError: of another, or damaged.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            whole = image.mode.startswith("I")
            values = np.array(ImageOps.exif_transpose(image)) if whole else None
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise SemisegError(f"{path} cannot be read as an image ({first_line(error)}); replace or remove it") from None
    if values is None:
        raise SemisegError(f"{path} holds floating-point values, or colours of 16 bits; save it with 8 bits")
    if values.min() < 0 or values.max() > 65535:
        raise SemisegError(f"{path} holds values outside of 0 to 65535; save it with 8 bits")
    return values


def in_bytes(values: np.ndarray, bits: int) -> np.ndarray:
    """Values of so many bits, (H, W), as uint8."""
    found: np.ndarray = (values >> (bits - 8)).astype(np.uint8)
    return found


def _header_is_deep(path: Path) -> bool:
    try:
        with Image.open(path, formats=FORMATS) as image:
            return is_deep(image)
    except Exception:  # damaged files raise nearly anything; copying them names them
        return False
