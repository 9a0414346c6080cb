"""Which tool's export lies in a folder, and how sure that is: one function for each.

A function takes the :class:`Files` of a folder and gives an :class:`Export`, or None where it is another's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from semiseg.data.layouts.command import ConvertFirst, convert_command
from semiseg.data.layouts.places import find_places
from semiseg.data.layouts.words import SPLITS
from semiseg.errors import SemisegError
from semiseg.runtime.documents import parse_json, read_yaml_file

LARGEST = 2**28  # bytes of a JSON file that is opened to see what it is
SAMPLES = 3  # of files that lie beside every image, so many are opened
_VALUE = r"\s+-?\d*\.?\d+(e-?\d+)?"
BOX = re.compile(rf"\s*\d+({_VALUE}){{4}}\s*", re.IGNORECASE)
OUTLINE = re.compile(rf"\s*\d+({_VALUE}){{6,}}\s*", re.IGNORECASE)
BRUSH = re.compile(r"task-(\d+)-annotation-(\d+)-by-(\d+)-tag-(.+)-(\d+)\.(png|npy)")
"""Names of Label Studio's "brush labels to PNG": one file a label."""


@dataclass(frozen=True)
class Export:
    """What was recognised: the word for ``--from``, a sentence, how sure it is, and what to give to the command.

    ``images`` is their folder, where ``source`` is a file; ``instead`` what to do with an export that nothing reads.
    """

    form: str
    told: str
    sure: Literal["certain", "likely"]
    source: Path
    images: Path | None = None
    instead: str = ""

    def command(self, root: Path) -> str:
        """The command that converts it; empty where none does."""
        words = ("--images", str(self.images)) if self.images is not None else ()
        return "" if self.instead else convert_command(root, self.form, self.source, words)


class Files:
    """The files of a folder that tell whose export it is; each JSON file is read once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def json(self) -> dict[Path, Any]:
        """Content of the JSON files of a folder, of ``annotations/`` in it and of those of a split; or of the file."""
        if self.root.is_file():
            return {self.root: content} if (content := _content(self.root)) is not None else {}
        places = [self.root, self.root / "annotations", *(self.root / s for words in SPLITS.values() for s in words)]
        found: dict[Path, Any] = {}
        for place in places:
            files = sorted([*place.glob("*.json"), *place.glob("*.geojson")]) if place.is_dir() else []
            kept = files if len(files) <= SAMPLES else files[:SAMPLES]
            found |= {path: content for path in kept if (content := _content(path)) is not None}
        return found

    def below(self, pattern: str) -> Iterator[Path]:
        """Files below the folder, sorted; none of a file."""
        return iter(sorted(self.root.rglob(pattern))) if self.root.is_dir() else iter(())


def recognise(root: Path) -> list[Export]:
    """Exports that lie in a folder, or in a file; certain ones first."""
    files = Files(root)
    found = [export for reader in READERS if (export := reader(files)) is not None]
    images = _images(root) if root.is_dir() else None
    found = [replace(one, images=images) if one.source.is_file() else one for one in found]
    return sorted(found, key=lambda export: export.sure != "certain")


def _images(root: Path) -> Path | None:
    """The folder called like images, which holds those that an export does not name too."""
    places = find_places(root)
    return places[0].images if len(places) == 1 and places[0].images != root and not places[0].split else None


def convert_first(root: Path) -> SemisegError | None:
    """The error that says which export a folder is and how it is converted; None where it is none that is known."""
    found = recognise(root)
    if not found:
        return None
    doubt = f" (or {found[1].told})" if len(found) > 1 else ""
    if found[0].instead:
        return SemisegError(f"{root} holds {found[0].told}; {found[0].instead}")
    told = f"{root} holds {found[0].told}{doubt}, which training does not read as it lies; run"
    return ConvertFirst(told, found[0].command(root))


def _coco(files: Files) -> Export | None:
    sheets = {path: sheet for path, sheet in files.json.items() if isinstance(sheet, dict)
              and isinstance(sheet.get("images"), list) and isinstance(sheet.get("categories"), list)}  # fmt: skip
    if not sheets:
        return None
    path, sheet = next(iter(sheets.items()))
    told = f"COCO annotations ({path.name}: {len(sheet['images'])} images, {len(sheet['categories'])} categories)"
    return Export("coco", told, "certain", files.root if len(sheets) > 1 else path)


def _labelme(files: Files) -> Export | None:
    found = [(path, sheet) for path, sheet in _samples(files, "*.json") if isinstance(sheet, dict)]
    sheets = [path for path, sheet in found if isinstance(sheet.get("shapes"), list) and "imagePath" in sheet]
    return Export("labelme", f"labelme annotations ({sheets[0].name}, …)", "certain", files.root) if sheets else None


def _labelme_dataset(files: Files) -> Export | None:
    found = [path for path in files.below("label_names.txt") if (path.parent / "label.png").is_file()]
    told = f"{len(found)} folders of labelme_json_to_dataset (img.png, label.png, label_names.txt)"
    return Export("labelme_dataset", told, "certain", files.root) if found else None


def _label_studio(files: Files) -> Export | None:
    for path, sheet in files.json.items():
        tasks = sheet if isinstance(sheet, list) and sheet and isinstance(sheet[0], dict) else None
        if tasks is None:
            continue
        told = f"a Label Studio export ({path.name}: {len(tasks)} tasks)"
        if "annotations" in tasks[0] and "data" in tasks[0]:
            return Export("labelstudio", told, "certain", path)
        if "annotation_id" in tasks[0] or "lead_time" in tasks[0]:
            return Export("labelstudio", told, "likely", path)
    return None


def _label_studio_png(files: Files) -> Export | None:
    found = [path for path in files.below("task-*.png") if BRUSH.fullmatch(path.name)]
    told = f"{len(found)} brush masks of Label Studio, one file a label ({found[0].name}, …)" if found else ""
    instead = "their names say the task, not its image: export the project as JSON, which holds the brush too"
    return Export("labelstudio", told, "certain", files.root, instead=instead) if found else None


def _via(files: Files) -> Export | None:
    for path, sheet in files.json.items():
        rows = sheet.get("_via_img_metadata", sheet) if isinstance(sheet, dict) else {}
        if isinstance(rows, dict) and any(isinstance(row, dict) and {"filename", "regions"} <= row.keys()
                                          for row in list(rows.values())[:SAMPLES]):  # fmt: skip
            return Export("via", f"a VGG Image Annotator project ({path.name}: {len(rows)} images)", "certain", path)
    return None


def _supervisely(files: Files) -> Export | None:
    found = [path for path in files.below("*.json") if path.parent.name == "ann"]
    sheet = _content(found[0]) if found else None
    if not isinstance(sheet, dict) or not isinstance(sheet.get("objects"), list):
        return None
    return Export("supervisely", f"a Supervisely project ({len(found)} annotations in ann/)", "certain", files.root)


def _qupath(files: Files) -> Export | None:
    found = [(path, sheet) for pattern in ("*.geojson", "*.json") for path, sheet in _samples(files, pattern)
             if _features(sheet)]  # fmt: skip
    if not found:
        return None
    sure: Literal["certain", "likely"] = "certain" if found[0][0].suffix == ".geojson" else "likely"
    return Export("qupath", f"GeoJSON annotations, as of QuPath ({found[0][0].name}, …)", sure, files.root)


def _yolo(files: Files) -> Export | None:
    named = _yolo_names(files.root)
    labels = [path for path in files.below("*.txt")
              if named or any(part.casefold() == "labels" for part in path.relative_to(files.root).parts)]  # fmt: skip
    lines = [_first_line(path) for path in labels[:100]]
    outlines = sum(OUTLINE.fullmatch(line) is not None for line in lines)
    boxes = sum(BOX.fullmatch(line) is not None for line in lines)
    if not outlines + boxes:
        return None
    told = "YOLO labels (labels/*.txt" + (", names in data.yaml)" if named else ", no data.yaml with their names)")
    if not outlines:
        told = told.replace("YOLO labels", "YOLO boxes, which say nothing of what is inside,")
    return Export("yolo", told, "certain" if named and outlines else "likely", files.root)


READERS: tuple[Callable[[Files], Export | None], ...] = (
    _coco, _labelme, _labelme_dataset, _label_studio, _label_studio_png, _via, _supervisely, _qupath, _yolo,
)  # fmt: skip


def _yolo_names(root: Path) -> bool:
    path = root / "data.yaml"
    try:
        return path.is_file() and "names" in (read_yaml_file(path) or {})
    except (ValueError, OSError, TypeError):
        return False


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.readline(2**20)
    except OSError:
        return ""


def _features(sheet: Any) -> bool:
    """Whether JSON is a GeoJSON collection, feature, or list of features."""
    rows = sheet.get("features", [sheet]) if isinstance(sheet, dict) else sheet
    return isinstance(rows, list) and bool(rows) and isinstance(rows[0], dict) and rows[0].get("type") == "Feature"


def _samples(files: Files, pattern: str) -> list[tuple[Path, Any]]:
    """A few of the files that lie beside images, with their content."""
    if files.root.is_file():
        return list(files.json.items())
    return [(path, _content(path)) for _, path in zip(range(SAMPLES), files.below(pattern), strict=False)]


def _content(path: Path) -> Any:
    """What a JSON file holds; None of a damaged or an extremely large one."""
    try:
        return parse_json(path.read_text(encoding="utf-8-sig")) if path.stat().st_size <= LARGEST else None
    except (ValueError, OSError):
        return None
