"""labelme: a JSON file beside every annotated image."""

from __future__ import annotations

import base64
import binascii
import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from semiseg.data.base import Size
from semiseg.data.convert.export import Export, Picture, Shape, Shapes, load_json, sorted_labels
from semiseg.data.convert.images import Images, not_found
from semiseg.data.convert.regions import Patch, ellipse, from_mask, number, polygon
from semiseg.data.pictures import FORMATS
from semiseg.errors import SemisegError, value_shown

LINES = ("point", "points", "line", "linestrip")


def read_labelme(source: Path, images: Path | None, skip_missing: bool) -> Export:
    """Every labelme file below a folder, or one file; images without one are unlabelled.

    An image is looked for where its file says, but not outside these folders, then below ``images``; failing that the
    file's own copy (imageData) is taken, and without one an image of its name anywhere below the folder.

    Raises:
        SemisegError: no such file, one that is not labelme's, or a missing image.
    """
    folder = source if source.is_dir() else source.parent
    files = [source] if source.is_file() else sorted(folder.rglob("*.json"))
    known = Images(images or folder, folder)
    pictures: list[Picture] = []
    missing: list[str] = []
    left_out = 0
    read = [(path, sheet) for path in files if isinstance(sheet := load_json(path), dict) and "shapes" in sheet]
    if not read:
        raise SemisegError(f"no labelme file in {source}: expected JSON files with shapes: and imagePath:")
    for path, sheet in read:
        known.inside.check(path)
        named = str(sheet.get("imagePath") or path.with_suffix(".jpg").name)
        file = _image_of(path, named, sheet, known, own=images is None)
        if file is None:
            missing.append(f"{named} of {path}")
            continue
        areas = [shape for shape in sheet["shapes"] if (shape.get("shape_type") or "polygon") not in LINES]
        left_out += len(sheet["shapes"]) - len(areas)
        shapes = [_shape(shape, path) for shape in areas]
        size = (int(sheet["imageHeight"]), int(sheet["imageWidth"])) if sheet.get("imageHeight") else None
        pictures.append(Picture(file, named, Shapes(shapes), size))
    if missing and not skip_missing:
        raise not_found(missing, len(read), known.folder)
    notes = [f"{left_out} points and lines left out: they have no area"] if left_out else []
    notes += [f"{len(missing)} annotated images not found and left out"] if missing else []
    annotated = {picture.file.resolve() for picture in pictures if isinstance(picture.file, Path)}
    if source.is_dir() or images:
        pictures += [Picture(path, str(path.relative_to(known.folder))) for path in known.others(annotated)]
    return Export(pictures, sorted_labels(pictures), notes=notes)


def _image_of(path: Path, named: str, sheet: dict[str, Any], known: Images, own: bool) -> Path | bytes | None:
    """The file beside the sheet; else, with ``own``, the sheet's copy before one of its name that lies elsewhere."""
    beside = path.parent / named.replace("\\", "/")
    if os.path.isfile(beside) and beside in known.inside:  # unlike Path.is_file, of names too long to be any
        return beside
    found = None if own and sheet.get("imageData") else known.find(named)
    if found is None and sheet.get("imageData"):
        try:
            return base64.b64decode(sheet["imageData"])
        except (ValueError, TypeError, binascii.Error):
            return None
    if found is None and os.path.isfile(beside):
        known.inside.check(beside)
    return found


def _shape(shape: dict[str, Any], path: Path) -> Shape:
    try:
        kind = shape.get("shape_type") or "polygon"
        label = str(shape["label"])
        points = [(number(x), number(y)) for x, y in shape["points"]]
        if kind == "mask":
            return Shape(label, _Stored(shape["mask"], points[0]))
        if kind == "circle":
            (x, y), (at_x, at_y) = points
            radius = math.hypot(at_x - x, at_y - y)
            points = ellipse(x, y, radius, radius)
        elif kind == "rectangle" and len(points) == 2:
            (x, y), (to_x, to_y) = points
            points = [(x, y), (to_x, y), (to_x, to_y), (x, to_y)]
        if len(points) < 3:
            raise ValueError(f"{len(points)} points")
    except (KeyError, TypeError, ValueError, IndexError, OSError, Image.DecompressionBombError) as error:
        raise SemisegError(
            f"{path}: the shape {value_shown(shape.get('label'))} cannot be read ({type(error).__name__}: {error}); "
            "open it in labelme and draw the shape anew"
        ) from None
    return Shape(label, lambda size: polygon(points, size))


class _Stored:
    """Region of a mask drawn by labelme's AI tools: a base64 PNG whose first pixel lies at ``corner``."""

    def __init__(self, coded: str, corner: tuple[float, float]) -> None:
        with Image.open(io.BytesIO(base64.b64decode(coded)), formats=FORMATS) as image:
            self.mask = np.array(image.convert("L")) > 0
        self.left, self.top = int(corner[0]), int(corner[1])

    def __call__(self, size: Size) -> Patch:
        return from_mask(self.mask, size, self.top, self.left)
