"""Label Studio: one JSON file of tasks, as exported by "JSON" or "JSON-MIN"."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from semiseg.data.base import Size
from semiseg.data.convert.brush import decode_brush
from semiseg.data.convert.export import Export, Picture, Shape, Shapes, load_json, sorted_labels
from semiseg.data.convert.images import Images, not_found
from semiseg.data.convert.regions import Patch, ellipse, from_mask, number, polygon, rectangle
from semiseg.errors import SemisegError, value_shown

PREFIX = re.compile(r"^[0-9a-f]{8}-")  # put before the name of an uploaded file


def read_label_studio(source: Path, images: Path | None, skip_missing: bool) -> Export:
    """An export file, or a folder that holds one.

    Of several annotations of a task the one marked as ground truth counts, else the one that was changed last; skipped
    ones and drafts do not. Polygons, rectangles, ellipses and brushes are read, whatever the tags are called.

    Raises:
        SemisegError: not such a file, a region that cannot be read, or a missing image.
    """
    path = _find(source)
    tasks = load_json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise SemisegError(f"{path} is not a Label Studio export: expected a list of tasks; export as JSON again")
    tasks, several = _newest(tasks)
    known = Images(images or path.parent)
    pictures: list[Picture] = []
    missing: list[str] = []
    left_out = doubled = 0
    for task in tasks:
        where = f"{path}: task {task.get('id')}"
        name = _image_name(task, where)
        file = known.find(name) or known.find(_without_prefix(name))
        if file is None:
            missing.append(name)
            continue
        results = _results(task)
        if results is None:
            pictures.append(Picture(file, _without_prefix(name)))
            continue
        several += len(task.get("annotations") or []) > 1
        shapes = []
        for item in results:
            shape = _shape(item, where)
            left_out += shape is None and bool(_labels(item))
            doubled += shape is not None and len(_labels(item)) > 1
            shapes += [shape] if shape else []
        pictures.append(Picture(file, _without_prefix(name), Shapes(shapes)))
    if missing and not skip_missing:
        raise not_found(missing, len(tasks), known.folder)
    notes = [f"{left_out} key points and other regions left out: they have no area"] if left_out else []
    notes += [f"{doubled} regions have several labels, of which the first counts"] if doubled else []
    notes += [f"{several} tasks have several annotations: ground truth or the last changed is taken"] if several else []
    notes += [f"{len(missing)} images not found and left out"] if missing else []
    if images:
        taken = {picture.file.resolve() for picture in pictures if isinstance(picture.file, Path)}
        pictures += [Picture(path, str(path.relative_to(known.folder))) for path in known.others(taken)]
    return Export(pictures, sorted_labels(pictures), notes=notes)


def _newest(tasks: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """One record a task, and how many tasks had more: JSON-MIN has one for each annotation; the last changed counts."""
    chosen: dict[object, dict[str, Any]] = {}
    repeated = set()
    for i, task in enumerate(tasks):
        minimal = "annotations" not in task and "completions" not in task and task.get("id") is not None
        key = ("task", str(task["id"])) if minimal else i
        if key in chosen:
            repeated.add(key)
            if str(task.get("updated_at") or "") < str(chosen[key].get("updated_at") or ""):
                continue
        chosen[key] = task
    return list(chosen.values()), len(repeated)


def _find(source: Path) -> Path:
    found = [source] if source.is_file() else sorted(source.glob("*.json"))
    if len(found) != 1:
        raise SemisegError(f"{source} holds {len(found)} JSON files; name the Label Studio export itself")
    return found[0]


def _image_name(task: dict[str, Any], where: str) -> str:
    """Path of the task's image without server and query: data/upload/1/1a2b3c4d-cat.jpg."""
    data = task["data"] if isinstance(task.get("data"), dict) else task  # JSON-MIN has the data's keys beside the rest
    values = [value for value in data.values() if isinstance(value, str)]
    url = data.get("image") if isinstance(data.get("image"), str) else None
    url = url or next((value for value in values if re.search(r"\.\w{3,4}($|\?)", value) and "/" in value), None)
    if url is None:
        raise SemisegError(f"{where} names no image; expected data: image: PATH")
    parts = urlsplit(url)
    local = parse_qs(parts.query).get("d")  # /data/local-files/?d=folder/cat.jpg
    return (local[0] if local else unquote(parts.path)).replace("\\", "/").lstrip("/")


def _without_prefix(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return folder + slash + PREFIX.sub("", last)


def _results(task: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Regions of the annotation that counts; None where nobody has submitted one."""
    if "annotations" not in task and "completions" not in task:  # JSON-MIN: under the names of the tags
        lists = [value for value in task.values() if isinstance(value, list)]
        found = [item for value in lists for item in value if isinstance(item, dict)]
        if not found and task.get("annotation_id") is None:
            return None
        return [{"value": item, **item} for item in found]
    made = [row for row in task.get("annotations") or task.get("completions") or [] if not row.get("was_cancelled")]
    if not made:
        return None
    chosen = max(made, key=lambda row: (bool(row.get("ground_truth")), str(row.get("updated_at") or "")))
    return list(chosen.get("result") or [])


def _labels(item: dict[str, Any]) -> list[str]:
    """Labels of a region, under polygonlabels, brushlabels, labels, …"""
    value = item.get("value") or {}
    return [str(name) for key in value if key.endswith("labels") for name in value[key]]


def _shape(item: dict[str, Any], where: str) -> Shape | None:
    """A region with its label; None for what has no area or, as half of a pair of tags, no label."""
    value, labels = item.get("value") or {}, _labels(item)
    if not labels:
        return None
    if item.get("image_rotation"):
        raise SemisegError(f"{where} was annotated on a turned image; turn the image file itself and annotate it anew")
    try:
        if value.get("rle"):
            width, height = int(item["original_width"]), int(item["original_height"])
            return Shape(labels[0], _Brush(value["rle"], width, height, where))
        points: list[tuple[float, float]] | None = None
        if "points" in value:
            points = [(number(x), number(y)) for x, y in value["points"]]
        if points is not None and len(points) >= 3:
            return Shape(labels[0], lambda size: polygon([_pixels(point, size) for point in points], size))
        degrees = number(value.get("rotation") or 0)
        if "radiusX" in value:
            x, y, across, down = (number(value[key]) for key in ("x", "y", "radiusX", "radiusY"))
            return Shape(labels[0], _Ellipse(x, y, across, down, degrees))
        if "width" in value and "height" in value:
            x, y, across, down = (number(value[key]) for key in ("x", "y", "width", "height"))
            return Shape(labels[0], _Rectangle(x, y, across, down, degrees))
    except (KeyError, TypeError, ValueError) as error:
        raise SemisegError(
            f"{where}: the region {value_shown(labels[0])} cannot be read ({type(error).__name__}: {error}); export "
            "again"
        ) from None
    return None


def _pixels(point: tuple[float, float], size: Size) -> tuple[float, float]:
    """A point in per cent of the picture as pixels."""
    return point[0] * size[1] / 100, point[1] * size[0] / 100


class _Box:
    """Numbers in per cent, and an angle in degrees; turned in pixels, since per cents differ in the two directions."""

    def __init__(self, x: float, y: float, across: float, down: float, degrees: float) -> None:
        self.origin, self.extent, self.degrees = (x, y), (across, down), degrees

    def numbers(self, size: Size) -> tuple[float, float, float, float, float]:
        return (*_pixels(self.origin, size), *_pixels(self.extent, size), self.degrees)


class _Rectangle(_Box):
    def __call__(self, size: Size) -> Patch:
        return polygon(rectangle(*self.numbers(size)), size)


class _Ellipse(_Box):
    def __call__(self, size: Size) -> Patch:
        return polygon(ellipse(*self.numbers(size)), size)


class _Brush:
    def __init__(self, rle: list[int], width: int, height: int, where: str) -> None:
        self.rle, self.width, self.height, self.where = rle, width, height, where

    def __call__(self, size: Size) -> Patch:
        if (self.height, self.width) != size:
            raise SemisegError(
                f"{self.where}: brush of {self.width}x{self.height} pixels, image of {size[1]}x{size[0]}; give the "
                "images that were annotated: --images DIR"
            )
        try:
            return from_mask(decode_brush(self.rle, self.width, self.height), size)
        except (ValueError, TypeError) as error:
            raise SemisegError(f"{self.where}: its brush cannot be read ({error}); export again") from None
