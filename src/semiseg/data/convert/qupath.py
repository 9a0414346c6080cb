"""QuPath: a GeoJSON file of annotations for every image, called like it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semiseg.data.base import Colour, Size
from semiseg.data.convert.export import IGNORED, Export, Picture, Shape, Shapes, load_json, sorted_labels
from semiseg.data.convert.images import Images, not_found
from semiseg.data.convert.regions import Patch, number, with_holes
from semiseg.data.files import SUFFIXES
from semiseg.errors import SemisegError

NO_CLASS = "annotation"
"""Class of annotations that were given none."""
Ring = list[tuple[float, float]]


def read_qupath(source: Path, images: Path | None, skip_missing: bool) -> Export:
    """Polygons, with holes and several parts, by their classification; coordinates in pixels of the image.

    Points and lines have no area and are left out; the class ``Ignore*`` becomes 255. Images without a file are
    unlabelled.

    Raises:
        SemisegError: no such file, one that cannot be read, or a missing image.
    """
    folder = source if source.is_dir() else source.parent
    files = [source] if source.is_file() else sorted([*folder.rglob("*.geojson"), *folder.rglob("*.json")])
    known = Images(images or folder, folder)
    pictures: list[Picture] = []
    missing: list[str] = []
    colours: dict[str, Colour] = {}
    left_out = count = 0
    for path in files:
        features = _features(load_json(path))
        if features is None:
            continue
        known.inside.check(path)
        count += 1
        file = _image_of(path, known)
        if file is None:
            missing.append(path.name)
            continue
        shapes: list[Shape] = []
        for feature in features:
            label, colour = _class(feature)
            if colour is not None and colour not in colours.values():
                colours.setdefault(label, colour)
            parts = _outlines(feature, path)
            left_out += not parts
            shapes += [Shape(label, _Outline(rings)) for rings in parts]
        pictures.append(Picture(file, str(file.relative_to(known.folder)), Shapes(shapes)))
    if not count:
        raise SemisegError(f"no GeoJSON in {source}: expected a FeatureCollection for each image; export as GeoJSON")
    if missing and not skip_missing:
        raise not_found(missing, count, known.folder)
    notes = [f"{left_out} points and lines left out: they have no area"] if left_out else []
    notes += [f"{len(missing)} images not found and left out"] if missing else []
    taken = {picture.file.resolve() for picture in pictures if isinstance(picture.file, Path)}
    if source.is_dir() or images:
        pictures += [Picture(one, str(one.relative_to(known.folder))) for one in known.others(taken)]
    return Export(pictures, sorted_labels(pictures), colours, notes)


def _features(sheet: Any) -> list[dict[str, Any]] | None:
    rows = sheet.get("features", [sheet]) if isinstance(sheet, dict) else sheet
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.get("type") == "Feature" for row in rows):
        return None
    return rows


def _image_of(path: Path, known: Images) -> Path | None:
    """The image that a file is called after: a.jpg of a.geojson, or of a.jpg.geojson."""
    name = path.relative_to(known.folder) if path.is_relative_to(known.folder) else Path(path.name)
    stem = name.with_suffix("").as_posix()
    return next((file for ending in ("", *SUFFIXES) if (file := known.find(stem + ending)) is not None), None)


def _class(feature: dict[str, Any]) -> tuple[str, Colour | None]:
    properties = feature.get("properties") or {}
    said = properties.get("classification") or {}
    if not isinstance(said, dict):
        said = {"name": said}
    label = str(said.get("name") or properties.get("name") or NO_CLASS)
    colour = said.get("color")
    if isinstance(colour, list) and len(colour) == 3 and all(type(v) is int and 0 <= v <= 255 for v in colour):
        return (IGNORED if label.lower().startswith("ignore") else label), (colour[0], colour[1], colour[2])
    return (IGNORED if label.lower().startswith("ignore") else label), None


def _outlines(feature: dict[str, Any], path: Path) -> list[list[Ring]]:
    """Rings of every part, the outer one first; none of a point or line."""
    geometry = feature.get("geometry") or {}
    try:
        rows: list[Any] = []
        kind = geometry.get("type")
        if kind in ("Polygon", "MultiPolygon"):
            rows = geometry["coordinates"] if kind == "MultiPolygon" else [geometry["coordinates"]]
        found = [[[(number(x), number(y)) for x, y, *_ in ring] for ring in rings] for rings in rows]
        if any(len(ring) < 3 for rings in found for ring in rings) or not all(found):
            raise ValueError("an outline of fewer than three corners")
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise SemisegError(
            f"{path}: a geometry cannot be read ({type(error).__name__}: {error}); export again"
        ) from None
    return found


class _Outline:
    def __init__(self, rings: list[Ring]) -> None:
        self.rings = rings

    def __call__(self, size: Size) -> Patch:
        return with_holes(self.rings[0], self.rings[1:], size)
