"""A predicted mask as a picture: in the values that the training masks had, 255 where an image has no content."""

from __future__ import annotations

import numpy as np
from PIL import Image

from semiseg.data.base import IGNORE, DatasetInfo
from semiseg.visualise import palette


def mask_picture(mask: np.ndarray, info: DatasetInfo) -> Image.Image:
    """Classes, uint8 (H, W), with 255 for no content, as a palette image of ``info.values`` in the classes' colours.

    Values above 255 make a grey image of 16 bits. Where 255 is the value of a class, pixels without content get the
    highest value that is none.
    """
    values, found = info.values, stored(mask, info)
    picture = Image.fromarray(found)
    if found.dtype != np.uint8:
        return picture
    colours = np.zeros((256, 3), np.uint8)
    colours[list(values)] = palette(info.colours)[: len(values)]
    picture.putpalette(colours.tobytes())
    return picture


def stored(mask: np.ndarray, info: DatasetInfo) -> np.ndarray:
    """Classes, uint8 with 255 for no content, as values of the training masks: uint8, or uint16 where one is above."""
    table = np.zeros(256, np.uint8 if max(info.values) <= IGNORE else np.uint16)
    table[: len(info.values)] = info.values
    table[IGNORE] = no_content(info.values)
    return table[mask]


def no_content(values: tuple[int, ...]) -> int:
    """The value of pixels without content in predictions: 255, or the highest below it that is no class's."""
    return next(value for value in range(IGNORE, -1, -1) if value not in values)
