"""YOLO: a text file of the image's name with one outline a line, class and corners as shares of the sides."""

from __future__ import annotations

from pathlib import Path

from semiseg.data.base import Size
from semiseg.data.convert.export import IGNORED, Export, Picture, Shape, Shapes
from semiseg.data.convert.images import Images
from semiseg.data.convert.regions import Patch, number, polygon
from semiseg.data.datasets.described import describe
from semiseg.data.layouts.words import SPLITS
from semiseg.data.pairing import spelling
from semiseg.errors import SemisegError

PARTS = ("images", "labels")
OTHER_TEXTS = ("classes.txt", "train.txt", "val.txt", "test.txt", "readme.txt", "labels.txt", "obj.names")


def read_yolo(source: Path, images: Path | None, skip_missing: bool) -> Export:
    """Outlines of a folder with ``images/`` and ``labels/``, divided into train/ and val/ or not.

    Classes have the names of ``data.yaml``, else ``class_0`` and so on. A first class that no outline has is that of
    the pixels outside of all. Boxes become ignored pixels. Images without a text file are unlabelled.

    Raises:
        SemisegError: no text file, or a line that is neither outline nor box.
    """
    root = source if source.is_dir() else source.parent
    known = Images(images or root, root)
    shown = {_key(known.folder, path) for path in known.pictures}
    found = [(_key(root, path), path) for path in sorted(root.rglob("*.txt"))]
    lists = [
        path for key, path in found if path.name.lower() in OTHER_TEXTS and (path.parent == root or key not in shown)
    ]
    texts = {key: path for key, path in found if path not in lists}
    pictures: list[Picture] = []
    boxes, seen = 0, set[tuple[str, ...]]()
    tested: list[str] = []
    drawn: dict[str, list[tuple[int, list[float]]]] = {}
    for path in known.others(set()):
        key = _key(known.folder, path)
        name = path.relative_to(known.folder).as_posix()
        if "test" in key[:-1]:
            tested.append(name)
        elif key in texts:
            seen.add(key)
            known.inside.check(texts[key])
            drawn[name] = _lines(texts[key])
            boxes += sum(len(values) == 4 for _, values in drawn[name])
    if not drawn:
        raise SemisegError(f"no image in {source} has a YOLO text file of its name, in labels/ or beside it; "
                           f"found {len(texts)} text files")  # fmt: skip
    classes = _classes(root, {kind for rows in drawn.values() for kind, _ in rows})
    for path in known.others(set()):
        name = path.relative_to(known.folder).as_posix()
        if name in tested:
            continue
        shapes = None
        if name in drawn:
            rows = sorted(drawn[name], key=lambda row: len(row[1]) != 4)  # boxes lie under outlines
            shapes = Shapes([Shape(IGNORED if len(v) == 4 else classes[i], _Outline(v)) for i, v in rows])
        pictures.append(Picture(path, name, shapes, split=_split(_key(known.folder, path))))
    outlined = {kind for rows in drawn.values() for kind, values in rows if len(values) > 4}
    blank = classes[0] if 0 in classes and 0 not in outlined and len(outlined) > 0 else None
    notes = [f"no outline is of {blank}: it is taken for the pixels outside of all"] if blank else []
    notes += [f"{boxes} labels are boxes without an outline: their pixels are ignored"] if boxes else []
    notes += [f"{len(tested)} images of test/ left out"] if tested else []
    lonely = len(texts) - len(seen)
    notes += [f"{lonely} text files have no image: not used"] if lonely else []
    return Export(pictures, list(classes.values()), notes=notes, blank=blank)


def _key(root: Path, path: Path) -> tuple[str, ...]:
    """A path below the folder without suffix and without images/ and labels/, which its partner has in common."""
    *above, stem = path.relative_to(root).with_suffix("").parts
    return tuple(spelling(part) for part in (*(part for part in above if part.lower() not in PARTS), stem))


def _split(key: tuple[str, ...]) -> str:
    return next((split for split, words in SPLITS.items() if any(part in words for part in key[:-1])), "")


def _classes(root: Path, used: set[int]) -> dict[int, str]:
    said, _ = describe(root)
    names = dict(zip(said.ids or range(len(said.classes or ())), said.classes or (), strict=True))
    lacking = sorted(used - set(names))
    if names and lacking:
        raise SemisegError(
            f"the labels in {root} have the class {lacking[0]}, and data.yaml names {len(names)}; add it"
        )
    return names or {i: f"class_{i}" for i in range(max(used, default=-1) + 1)}


def _lines(path: Path) -> list[tuple[int, list[float]]]:
    """Class, and four numbers of a box or six and more of an outline, of every line."""
    rows = []
    for i, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            values = [number(word) for word in words[1:]]
            if not words[0].isdecimal() or len(values) < 4 or (len(values) > 4 and len(values) % 2):
                raise ValueError(f"{len(words)} words")
        except ValueError as error:
            raise SemisegError(f"{path}, line {i} is no outline ({error}); expected CLASS X Y X Y X Y …, each X and Y "
                               "a share of the side") from None  # fmt: skip
        rows.append((int(words[0]), values))
    return rows


class _Outline:
    """Pixels of an outline, or of a box by its centre, width and height."""

    def __init__(self, values: list[float]) -> None:
        if len(values) == 4:
            x, y, w, h = values
            values = [x - w / 2, y - h / 2, x + w / 2, y - h / 2, x + w / 2, y + h / 2, x - w / 2, y + h / 2]
        self.values = values

    def __call__(self, size: Size) -> Patch:
        height, width = size
        return polygon(
            [(x * width, y * height) for x, y in zip(self.values[::2], self.values[1::2], strict=True)], size
        )
