"""Supervisely: ``img/`` and ``ann/NAME.json`` beside it, with polygons and bitmaps; ``meta.json`` names the classes."""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from semiseg.data.base import Colour, Size
from semiseg.data.convert.export import Export, Picture, Shape, Shapes, load_json, sorted_labels
from semiseg.data.convert.images import Images, not_found
from semiseg.data.convert.regions import Patch, from_mask, number, polygon, with_holes
from semiseg.data.layouts.words import SPLITS
from semiseg.data.pictures import FORMATS
from semiseg.errors import SemisegError, value_shown

LARGEST = 2**26  # bytes of one bitmap


def read_supervisely(source: Path, images: Path | None, skip_missing: bool) -> Export:
    """A project, or one data set of it. Points and lines have no area and are left out.

    Raises:
        SemisegError: no annotation, one that cannot be read, or a missing image.
    """
    sheets = [path for path in sorted(source.rglob("*.json")) if path.parent.name == "ann"]
    if not sheets:
        raise SemisegError(f"no ann/*.json in {source}: expected the folders img/ and ann/ of Supervisely")
    known = Images(images or source, source)
    pictures: list[Picture] = []
    missing: list[str] = []
    left_out = 0
    for path in sheets:
        known.inside.check(path)
        sheet = load_json(path)
        above = path.parent.parent.relative_to(source).as_posix()
        name = f"{above}/img/{path.stem}".removeprefix("./")
        file = known.find(name)
        if file is None:
            missing.append(name)
            continue
        found = [_shape(item, str(path)) for item in sheet["objects"]]
        left_out += sum(shape is None for shape in found)
        size = (int(sheet["size"]["height"]), int(sheet["size"]["width"]))
        split = next((split for split, words in SPLITS.items() if above.lower() in words), "")
        pictures.append(Picture(file, name, Shapes([shape for shape in found if shape is not None]), size, split))
    if missing and not skip_missing:
        raise not_found(missing, len(sheets), known.folder)
    notes = [f"{left_out} points and lines left out: they have no area"] if left_out else []
    notes += [f"{len(missing)} images not found and left out"] if missing else []
    taken = {picture.file.resolve() for picture in pictures if isinstance(picture.file, Path)}
    splits = any(picture.split for picture in pictures)
    pictures += [Picture(one, str(one.relative_to(known.folder)), split="train" if splits else "")
                 for one in known.others(taken) if one.parent.name == "img" or images]  # fmt: skip
    classes, colours = _meta(source / "meta.json")
    used = sorted_labels(pictures)
    return Export(pictures, [*classes, *(name for name in used if name not in classes)], colours, notes)


def _meta(path: Path) -> tuple[list[str], dict[str, Colour]]:
    """Names and colours of the classes; none without the file."""
    rows = load_json(path).get("classes", []) if path.is_file() else []
    names = [str(row["title"]) for row in rows if row.get("shape") not in ("point", "line", "graph")]
    colours: dict[str, Colour] = {}
    for row in rows:
        code = bytes.fromhex(str(row.get("color") or "").lstrip("#"))
        if len(code) == 3 and tuple(code) not in colours.values():
            colours[str(row["title"])] = (code[0], code[1], code[2])
    return names, colours


def _shape(item: dict[str, Any], where: str) -> Shape | None:
    try:
        label, kind = str(item["classTitle"]), item.get("geometryType") or item.get("shape")
        if kind == "bitmap":
            return Shape(label, _Bitmap(item["bitmap"]["data"], item["bitmap"]["origin"]))
        if kind not in ("polygon", "rectangle"):
            return None
        points = _points(item["points"]["exterior"])
        holes = [_points(hole) for hole in item["points"].get("interior") or []]
        if kind == "rectangle":  # whose corners are pixels, both of which belong to it
            (x, y), (to_x, to_y) = np.sort(np.array(points, float), axis=0).tolist()
            to_x, to_y = to_x + 1, to_y + 1
            points = [(x, y), (to_x, y), (to_x, to_y), (x, to_y)]
        if len(points) < 3 or any(len(hole) < 3 for hole in holes):
            raise ValueError(f"{len(points)} points")
    except (KeyError, TypeError, ValueError, IndexError, OSError, zlib.error, binascii.Error,
            Image.DecompressionBombError) as error:  # fmt: skip
        raise SemisegError(
            f"{where}: the object {value_shown(item.get('classTitle'))} cannot be read ({type(error).__name__}: "
            f"{error}); export again"
        ) from None
    return Shape(label, lambda size: with_holes(points, holes, size) if holes else polygon(points, size))


def _points(rows: list[Any]) -> list[tuple[float, float]]:
    return [(number(x), number(y)) for x, y in rows]


class _Bitmap:
    """Pixels of a base64, compressed PNG whose first pixel lies at ``origin``, (x, y)."""

    def __init__(self, coded: str, origin: list[Any]) -> None:
        unpacking = zlib.decompressobj()
        raw = unpacking.decompress(base64.b64decode(coded), LARGEST)
        if unpacking.unconsumed_tail:
            raise ValueError(f"a bitmap of more than {LARGEST} bytes")
        with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
            shown = image.getchannel("A") if image.mode in ("RGBA", "LA") else image.convert("L")
            self.mask = np.array(shown) > 0
        self.left, self.top = (int(number(value)) for value in origin)

    def __call__(self, size: Size) -> Patch:
        return from_mask(self.mask, size, self.top, self.left)
