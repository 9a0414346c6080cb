"""VGG Image Annotator: one JSON file, a record with regions for every image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from semiseg.data.convert.export import Export, Picture, Shape, Shapes, load_json, sorted_labels
from semiseg.data.convert.images import Images, not_found
from semiseg.data.convert.regions import ellipse, number, polygon, rectangle
from semiseg.errors import SemisegError, value_shown

AREAS = ("polygon", "rect", "circle", "ellipse")
PREFERRED = ("class", "label", "name", "type", "category")
"""Attributes that hold the class, where a region has several."""


def read_via(source: Path, images: Path | None, skip_missing: bool) -> Export:
    """A project or an export of annotations as JSON. Points and lines have no area and are left out.

    Raises:
        SemisegError: not such a file, a region that cannot be read, or a missing image.
    """
    path = source if source.is_file() else _only(source)
    sheet = load_json(path)
    rows = sheet.get("_via_img_metadata", sheet) if isinstance(sheet, dict) else None
    if not isinstance(rows, dict) or not all(isinstance(row, dict) and "filename" in row for row in rows.values()):
        raise SemisegError(f"{path} is no file of the VGG Image Annotator: expected filename: and regions: for each "
                           "image; export annotations as JSON")  # fmt: skip
    known = Images(images or path.parent)
    pictures: list[Picture] = []
    missing: list[str] = []
    left_out = 0
    for row in rows.values():
        name = str(row["filename"])
        file = known.find(name)
        if file is None:
            missing.append(name)
            continue
        regions = row.get("regions") or []
        regions = list(regions.values()) if isinstance(regions, dict) else regions  # as version 1 has them
        found = [_shape(region, f"{path}: {name}") for region in regions]
        left_out += sum(shape is None for shape in found)
        # An image that was opened and has no region was not annotated: the tool keeps no other mark.
        truth = Shapes([shape for shape in found if shape is not None]) if regions else None
        pictures.append(Picture(file, name, truth))
    if missing and not skip_missing:
        raise not_found(missing, len(rows), known.folder)
    notes = [f"{left_out} points and lines left out: they have no area"] if left_out else []
    notes += [f"{len(missing)} images not found and left out"] if missing else []
    if images:
        taken = {picture.file.resolve() for picture in pictures if isinstance(picture.file, Path)}
        pictures += [Picture(one, str(one.relative_to(known.folder))) for one in known.others(taken)]
    return Export(pictures, sorted_labels(pictures), notes=notes)


def _only(source: Path) -> Path:
    found = sorted(source.glob("*.json"))
    if len(found) != 1:
        raise SemisegError(f"{source} holds {len(found)} JSON files; name the one of the VGG Image Annotator itself")
    return found[0]


def _shape(region: dict[str, Any], where: str) -> Shape | None:
    try:
        shape = region["shape_attributes"]
        kind = shape["name"]
        if kind not in AREAS:
            return None
        label = _label(region.get("region_attributes") or {})
        if kind == "polygon":
            points = [(number(x), number(y)) for x, y in zip(shape["all_points_x"], shape["all_points_y"], strict=True)]
        elif kind == "rect":
            points = rectangle(*(number(shape[key]) for key in ("x", "y", "width", "height")))
        elif kind == "circle":
            radius = number(shape["r"])
            points = ellipse(number(shape["cx"]), number(shape["cy"]), radius, radius)
        else:
            x, y, across, down = (number(shape[key]) for key in ("cx", "cy", "rx", "ry"))
            points = ellipse(x, y, across, down, math.degrees(number(shape.get("theta") or 0)))
        if len(points) < 3:
            raise ValueError(f"{len(points)} points")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SemisegError(f"{where}: the region {value_shown(region)} cannot be read ({type(error).__name__}: "
                           f"{error}); draw it anew") from None  # fmt: skip
    return Shape(label, lambda size: polygon(points, size))


def _label(attributes: dict[str, Any]) -> str:
    """The class of a region: of several attributes the one called so, of check boxes the one that is ticked."""
    key = next((key for word in PREFERRED for key in attributes if key.lower() == word), next(iter(attributes), None))
    value = attributes[key] if key is not None else ""
    if isinstance(value, dict):
        value = next((name for name, ticked in value.items() if ticked), "")
    if not str(value).strip():
        raise ValueError("it has no class in region_attributes")
    return str(value).strip()
