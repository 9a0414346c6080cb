"""Masks that number objects, as napari, ImageJ, Cellpose and StarDist save them: every object is of one class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from semiseg.data.base import Size
from semiseg.data.convert.export import BACKGROUND, Export, Picture, Plan
from semiseg.data.convert.pairs import pairs_inside
from semiseg.data.datasets.described import describe
from semiseg.data.files import LOSSY, read_mask
from semiseg.data.turning import Drawn, fit_to_image
from semiseg.errors import SemisegError

OBJECT = "object"


def read_instances(source: Path, images: Path | None, skip_missing: bool) -> Export:
    """Masks whose values above 0 number objects: these become the class ``object``, 0 the background.

    Raises:
        SemisegError: no masks or images, or masks that are coloured.
    """
    pairs = pairs_inside(source, images)
    drawn = describe(source)[0].drawn
    pictures = [
        Picture(file, f"{name}{file.suffix}", _Objects(part.masks[name], file, drawn) if name in part.masks else None,
                split=split)
        for split, part in pairs.parts.items()
        for name, file in part.images.items()
    ]  # fmt: skip
    return Export(pictures, [OBJECT], notes=pairs.told, full=True)


class _Objects:
    """Truth of one mask file."""

    def __init__(self, path: Path, image: Path, drawn: Drawn | None) -> None:
        self.path, self.image, self.drawn = path, image, drawn

    def labels(self) -> set[str]:
        return {BACKGROUND, OBJECT}

    def draw(self, plan: Plan, size: Size) -> np.ndarray:
        if self.path.suffix.lower() in LOSSY:
            raise SemisegError(f"{self.path} is in a format that changes numbers; save it as PNG or TIFF")
        values = read_mask(self.path)
        if values.ndim != 2:
            raise SemisegError(f"{self.path} is a colour image, which numbers no objects; convert it --from colour")
        values = fit_to_image(values, self.path, self.image, self.drawn)
        return np.where(values > 0, plan.number[OBJECT], plan.number[BACKGROUND]).astype(np.uint8)
