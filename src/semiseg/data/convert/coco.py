"""COCO: one JSON file with images, annotations (polygons or run lengths) and categories."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.data.base import Size
from semiseg.data.convert.export import IGNORED, Export, Picture, Shape, Shapes, load_json
from semiseg.data.convert.images import Images, not_found
from semiseg.data.convert.regions import FAR, Patch, from_mask, number, polygon, rectangle
from semiseg.data.layouts.words import SPLITS, splits
from semiseg.errors import SemisegError, value_shown
from semiseg.runtime.extras import require

LONGEST = 4e6  # pixels of an outline
LAYOUT = "images:, annotations: and categories:"


def read_coco(source: Path, images: Path | None, skip_missing: bool) -> Export:
    """A COCO file, or a folder that holds one, also in annotations/, or one each for training and validation.

    Classes come in the order of their ids. pycocotools makes the pixels; annotations with a box only become ignored
    pixels, since the outline inside is not known.

    Raises:
        SemisegError: not such a file, a missing image, or pycocotools is not installed.
    """
    parts = _find(source)
    if "" in parts:
        path = parts[""]
        above = path.parent.parent if path.parent.name == "annotations" else path.parent
        return _read_file(path, images or above, skip_missing, bool(images))
    read = {split: _read_file(path, images or _images_of(path, split), skip_missing, False)
            for split, path in parts.items()}  # fmt: skip
    pictures = [replace(picture, split=split) for split, part in read.items() for picture in part.pictures]
    classes = dict.fromkeys(name for part in read.values() for name in part.classes)
    return Export(pictures, list(classes), notes=[note for part in read.values() for note in part.notes])


def _read_file(path: Path, images: Path, skip_missing: bool, others: bool) -> Export:
    """One COCO file; with ``others`` the images that it does not name come along."""
    tools = require("pycocotools.mask", "coco", "--from coco")
    sheet = load_json(path)
    if not isinstance(sheet, dict) or not all(isinstance(sheet.get(k), list) for k in ("images", "categories")):
        raise SemisegError(f"{path} is not a COCO file: expected {LAYOUT}; export as COCO (instances) again")
    names = {row["id"]: str(row["name"]) for row in sorted(sheet["categories"], key=lambda row: row["id"])}
    by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for row in sheet.get("annotations") or []:
        if row.get("category_id") not in names:
            raise SemisegError(
                f"{path}: annotation {row.get('id')} has category {row.get('category_id')}, which is not in "
                "categories:; export again"
            )
        if type(row["image_id"]) not in (int, str):
            raise SemisegError(f"{path}: annotation {row.get('id')} has the image_id {value_shown(row['image_id'])}, "
                               "which is no number; export again")  # fmt: skip
        by_image[str(row["image_id"])].append(row)
    known = Images(images)
    pictures: list[Picture] = []
    missing: list[str] = []
    boxes = 0
    for row in sheet["images"]:
        file = known.find(str(row["file_name"]))
        if file is None:
            missing.append(str(row["file_name"]))
            by_image.pop(str(row["id"]), None)
            continue
        drawn = [
            _Region(item, tools, f"{path}: annotation {item.get('id')}") for item in by_image.pop(str(row["id"]), [])
        ]
        under = [Shape(IGNORED, region) for region in drawn if region.is_box]
        boxes += len(under)
        shapes = under + [Shape(names[region.row["category_id"]], region) for region in drawn if not region.is_box]
        size = (int(row["height"]), int(row["width"])) if row.get("height") and row.get("width") else None
        pictures.append(Picture(file, str(row["file_name"]), Shapes(shapes), size))
    if missing and not skip_missing:
        raise not_found(missing, len(sheet["images"]), known.folder)
    notes = [f"{boxes} annotations are boxes without an outline: their pixels are ignored"] if boxes else []
    notes += [f"{len(missing)} images not found and left out"] if missing else []
    strangers = [row for rows in by_image.values() for row in rows]
    notes += [f"{len(strangers)} annotations left out: images: does not list their image, e.g. "
              f"{value_shown(strangers[0]['image_id'])}"] if strangers else []  # fmt: skip
    if others:
        taken = {picture.file.resolve() for picture in pictures if isinstance(picture.file, Path)}
        pictures += [Picture(path, str(path.relative_to(known.folder))) for path in known.others(taken)]
    return Export(pictures, list(dict.fromkeys(names.values())), notes=notes)


def _find(source: Path) -> dict[str, Path]:
    """The file, under an empty name, or those of training and validation by ``train`` and ``val``."""
    if source.is_file():
        return {"": source}
    found = sorted([*source.glob("*.json"), *source.glob("annotations/*.json")])
    if len(found) == 1:
        return {"": found[0]}
    inner = [path for part in splits(source).values() for path in sorted(part.glob("*coco*.json"))]
    parts: dict[str, Path] = {}
    for path in found or inner:
        words = {path.parent.name.casefold(), *re.split(r"[^a-z]+", path.stem.casefold())}
        split = next((split for split, called in SPLITS.items() if words & {*called}), None)
        if split is not None and (found == [] or path.stem.startswith("instances")):
            if split in parts:
                raise SemisegError(f"{source} holds {parts[split].name} and {path.name}, both for {split}; name the "
                                   "COCO file itself, or move one away")  # fmt: skip
            parts[split] = path
    if set(parts) == set(SPLITS):
        return parts
    names = ", ".join(path.name for path in found[:5]) or "none"
    raise SemisegError(f"{source} holds {len(found)} JSON files ({names}); name the COCO file itself")


def _images_of(path: Path, split: str) -> Path:
    """Where the images of a part lie: beside its file, or, of annotations/, in the folder above, in one of its name."""
    if path.parent.name != "annotations":
        return path.parent
    above = path.parent.parent
    folders = [
        one for one in sorted(above.rglob("*")) if one.is_dir() and one.name.rstrip("0123456789") in SPLITS[split]
    ]
    return folders[0] if len(folders) == 1 else above


def run_lengths(text: str) -> list[int]:
    """The numbers of compressed run lengths: six bits a character, of which five count and one says that more follow,
    lowest first with a sign; from the fourth on each is the difference to the one two places before.

    Raises:
        ValueError: a character that is none of the 64, or an end in the middle of a number.
    """
    found: list[int] = []
    number, place = 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"the character {value_shown(character)} in run lengths")
        number, place = number | (bits & 31) << place, place + 5
        if place > 60:
            raise ValueError("a run length without end")
        if not bits & 32:
            number -= 1 << place if bits & 16 else 0
            found.append(number + (found[-2] if len(found) > 2 else 0))
            number, place = 0, 0
    if place:
        raise ValueError("run lengths that are cut off")
    return found


def _checked(outline: list[Any]) -> list[float]:
    """x, y, x, y, … of a polygon that pycocotools can trace: it takes memory by the length, and trusts the numbers.

    Raises:
        ValueError: of another.
    """
    values = [number(value) for value in outline]
    xy = np.array(values[: len(values) // 2 * 2]).reshape(-1, 2)
    if np.abs(xy).max() > FAR or np.abs(xy - np.roll(xy, 1, axis=0)).max(1).sum() > LONGEST:
        raise ValueError(f"an outline that is longer than {LONGEST:.0f} pixels or farther than {FAR:.0f} away")
    return values


class _Region:
    """Pixels of one annotation."""

    def __init__(self, row: dict[str, Any], tools: Any, where: str) -> None:
        self.row, self.tools, self.where = row, tools, where
        self.outline: Any = row.get("segmentation")
        if isinstance(self.outline, list):
            parts = [self.outline] if self.outline and not isinstance(self.outline[0], list) else self.outline
            self.outline = [part for part in parts if len(part) >= 6]  # fewer than three corners have no area
        self.is_box = not self.outline
        if self.is_box and not row.get("bbox"):
            raise SemisegError(f"{where} has neither segmentation nor bbox; remove it or export again")
        self.box = rectangle(*(number(value) for value in row["bbox"])) if self.is_box else []

    def __call__(self, size: Size) -> Patch:
        if self.is_box:
            return polygon(self.box, size)
        try:
            if isinstance(self.outline, list):
                parts = [_checked(part) for part in self.outline]
                coded = self.tools.merge(self.tools.frPyObjects(parts, *size))
            elif tuple(self.outline["size"]) != size:
                raise ValueError(f"run lengths of {self.outline['size']}, image of {list(size)}")
            else:
                counts, plain = self.outline["counts"], isinstance(self.outline["counts"], list)
                # pycocotools leaves memory as it was where the run lengths end too early.
                lengths = [int(count) for count in counts] if plain else run_lengths(str(counts))
                if min(lengths, default=0) < 0 or sum(lengths) != size[0] * size[1]:
                    raise ValueError(f"run lengths of {sum(lengths)} pixels, image of {size[0] * size[1]}")
                text = str(counts).encode()
                coded = self.tools.frPyObjects(self.outline, *size) if plain else {"size": list(size), "counts": text}
            mask = self.tools.decode(coded)
            if mask.shape != size:
                raise ValueError(f"mask of {mask.shape}, image of {size}")
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise SemisegError(f"{self.where}: its segmentation cannot be read ({error}); export again") from None
        return from_mask(np.asarray(mask, bool), size)
