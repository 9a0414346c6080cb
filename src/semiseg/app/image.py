"""What the page shows of an image file: mask, confidence and class shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape

import numpy as np

from semiseg.data.base import Colour, resized
from semiseg.data.swatches import told_apart
from semiseg.errors import SemisegError
from semiseg.inference.plan import InferencePlan, segment
from semiseg.prediction.class_shares import class_shares
from semiseg.prediction.inputs import read_image
from semiseg.prediction.outputs import as_grey
from semiseg.prediction.predictor import Predictor, training_scale
from semiseg.visualise import as_rgb

WHOLE_BYTES = 2**28
"""Images whose class probabilities take up to this many bytes are predicted whole, larger ones in tiles."""
WHOLE_PIXELS = 2**23
"""The same for images that are not resized, in pixels: the features of the network need memory as well."""
TILE = 512
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")
"""Formats that an upload may have, whatever its name: for others Pillow might run Ghostscript."""
SHOWN_SIDE = 2000
"""Longest side of the pictures sent to the browser, in pixels."""


def plan_for(predictor: Predictor, height: int, width: int) -> InferencePlan:
    """The plan of the predictor, or one with tiles for an image above WHOLE_BYTES or WHOLE_PIXELS."""
    plan, size = predictor.plan, height * width * predictor.info.num_classes * 4
    fits = size <= WHOLE_BYTES and (plan.resize is not None or height * width <= WHOLE_PIXELS)
    if plan.tile is not None or fits:
        return plan
    try:
        scale = training_scale(predictor.config)
    except SemisegError:  # the training images are gone: the network sees the tiles at the scale of the whole image
        down, across = resized((height, width), plan.resize)
        scale = (down / height, across / width)
    return replace(plan, tile=TILE, scale=scale)


@dataclass(frozen=True)
class Shown:
    """What the page shows of an image.

    Attributes:
        line: about the image.
        shares: fraction of the pixels of each class.
        whole: uint8 (H,W), the mask at the size of the image.
        picture, classes, grey: image uint8 (h,w,3), mask and confidence uint8 (h,w), at the size shown.
        colours: of the classes, no two alike.
    """

    line: str
    shares: dict[str, float]
    whole: np.ndarray
    picture: np.ndarray
    classes: np.ndarray
    grey: np.ndarray
    colours: tuple[Colour, ...]


def describe(predictor: Predictor, path: str) -> Shown:
    """Predict an image file.

    Raises:
        SemisegError: the file cannot be read.
    """
    image = read_image(path, formats=FORMATS, pixels=predictor.pixels)
    height, width = image.shape[:2]
    plan = plan_for(predictor, height, width)
    mask, confidence = segment(predictor.network, image, plan, predictor.device)
    assert confidence is not None
    tiles = f", in tiles of {plan.tile}" if plan.tile else ""
    line = f"{width} × {height} pixels{tiles}; mean confidence {100 * float(confidence.mean()):.1f} %"
    picture, classes, grey = (
        _shown(array) for array in (as_rgb(image, predictor.config.data.shown), mask, as_grey(confidence))
    )
    shares = class_shares(mask, predictor.info.classes)
    return Shown(line, shares, mask, picture, classes, grey, told_apart(predictor.info.colours))


def _shown(array: np.ndarray) -> np.ndarray:
    # Pixels are dropped, not averaged: classes have no mean, and the three pictures must match.
    step = -(-max(array.shape[:2]) // SHOWN_SIDE)
    return np.ascontiguousarray(array[::step, ::step])


def shares_html(shares: Mapping[str, float], colours: Mapping[str, Colour]) -> str:
    """A table of classes, the most frequent first: colour, name, bar and percentage; absent classes are left out."""
    rows = []
    for name, share in sorted(shares.items(), key=lambda item: -item[1]):
        if share:
            colour = "rgb({}, {}, {})".format(*colours[name])
            rows.append(
                f"<tr><td><div class=swatch style='background:{colour}'></div></td><td>{escape(name)}</td>"
                f"<td class=bar><div style='background:{colour};width:{100 * share:.2f}%'></div></td>"
                f"<td class=share>{100 * share:.1f} %</td></tr>"
            )
    return f"<table><caption>Class shares</caption>{''.join(rows)}</table>"
