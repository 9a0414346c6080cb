"""Any folder: ``images/`` and ``masks/`` with the same stems; an image without a mask is unlabelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from semiseg.data.base import IGNORE, Colour, DatasetInfo, default_colours
from semiseg.data.files import LOSSY, ImageFiles, contents, files_by_stem, read_mask
from semiseg.data.masks import convert_command
from semiseg.data.splits.shuffled_folds import validation_part
from semiseg.errors import SemisegError, UsageError

LARGEST = 65535  # of the values a mask may hold (16-bit PNG)
LAYOUT = "expected images/ and masks/ (same file stem), or images/{train,val} and masks/{train,val}"


def _masks_by_stem(folder: Path) -> dict[str, Path]:
    masks = files_by_stem(folder)
    for path in masks.values():
        if path.suffix.lower() in LOSSY:
            raise SemisegError(f"{path}: this format changes class indices; save masks as PNG")
    return masks


class Folder(ImageFiles):
    """Images and index masks by stem.

    Args:
        info: classes, colours.
        images: image files by stem.
        masks: mask files by stem; images without an entry are unlabelled.
        ignored: further mask values that mean "ignore".
        by_colour: masks may be RGB in the classes' colours; black is ignored where it is no class's colour.
    """

    def __init__(
        self,
        info: DatasetInfo,
        images: dict[str, Path],
        masks: dict[str, Path],
        ignored: tuple[int, ...] = (),
        by_colour: bool = False,
    ) -> None:
        self.info, self.files, self.masks, self.by_colour = info, images, masks, by_colour
        self.names = sorted(images)
        self.table = np.full(LARGEST + 2, -1, np.int16)  # the last row: any other value
        self.table[: info.num_classes] = np.arange(info.num_classes)
        self.table[[IGNORE, *ignored]] = IGNORE

    def read_label(self, path: Path) -> np.ndarray:
        values = read_mask(path)
        if values.ndim == 3:
            return self._from_colours(values, path)
        rows = values
        if values.dtype.kind == "i":  # 32-bit files may hold what the table does not reach
            rows = np.where((values < 0) | (values > LARGEST), LARGEST + 1, values)
        known = self.table[rows]
        if (known < 0).any():
            wrong = ", ".join(str(v) for v in np.unique(values[known < 0])[:5])
            raise SemisegError(
                f"{path} holds values {wrong} outside the classes 0…{self.info.num_classes - 1}; correct the mask, "
                "name the classes or the ignored values in dataset.yaml, or, for grey levels, run "
                f"{convert_command(path)}"
            )
        return known.astype(np.uint8)

    def _from_colours(self, values: np.ndarray, path: Path) -> np.ndarray:
        if not self.by_colour:
            raise SemisegError(
                f"{path} is a colour image, not class indices; list the classes' colours in dataset.yaml (colours:), "
                f"or run {convert_command(path)}"
            )
        code = values.astype(np.int64) @ np.array([65536, 256, 1])
        label = np.full(code.shape, IGNORE, np.uint8)
        unknown = np.ones(code.shape, bool)
        for k, (red, green, blue) in enumerate(self.info.colours):
            hit = code == red * 65536 + green * 256 + blue
            label[hit] = k
            unknown &= ~hit
        if (unknown & (code != 0)).any():
            y, x = np.argwhere(unknown & (code != 0))[0]
            raise SemisegError(
                f"{path}: colour {tuple(values[y, x].tolist())} at row {y}, column {x} belongs to no class; add it to "
                "colours: in dataset.yaml"
            )
        return label


def is_divided(root: Path) -> bool:
    """Whether the folder says which images train and which validate: ``images/train`` or ``images/val``."""
    return any((root / "images" / split).is_dir() for split in ("train", "val"))


def open_folder(root: str | Path | None, split: str, *, fold: int | None = None, **unknown: Any) -> Folder:
    """Open ``train`` or ``val`` of a folder.

    ``images/`` and ``masks/``, or ``images/{train,val}`` and ``masks/{train,val}``. In the flat layout the validation
    set is the last fifth of the images with masks (at least one), by a seeded permutation of their sorted list, or the
    fifth of that number with ``fold`` (0 to 4): over five runs every mask validates once. They leave the training set,
    which holds the other images, with and without masks. ``dataset.yaml`` beside them may
    hold ``name``, ``classes`` (a list, or a mapping from id to name), ``colours`` (a list of RGB triples) and
    ``ignore`` (a mask value or a list); without ``classes`` they are counted from the masks' values.

    Raises:
        UsageError: no root, another option or fold, a fold of fewer than five masks or of a divided set, or a split
            other than train and val.
        SemisegError: nothing that looks like such a folder; the message says what was expected and found.
    """
    if unknown:
        raise UsageError(f"a folder has no option {sorted(unknown)[0]!r}; data.options takes fold (0 to 4) only")
    if root is None:
        raise UsageError("data.root is missing: give the folder that holds images/ and masks/")
    if split not in ("train", "val"):
        raise UsageError(f"a folder has no split {split!r}; choose train or val")
    base = Path(root)
    if not (base / "images").is_dir():
        raise SemisegError(f"no images/ in {base}: {LAYOUT}; found: {contents(base)}")
    if is_divided(base):
        if fold is not None:
            raise UsageError(f"{base / 'images'} is divided into train/ and val/ already; leave data.options.fold out")
        parts = {s: files_by_stem(base / "images" / s) for s in ("train", "val")}
        masks = {s: _masks_by_stem(base / "masks" / s) for s in ("train", "val")}
        alone = {s: [path for stem, path in masks[s].items() if stem not in parts[s]] for s in ("train", "val")}
    else:
        images, all_masks = files_by_stem(base / "images"), _masks_by_stem(base / "masks")
        val = validation_part([stem for stem in images if stem in all_masks], fold)
        parts = {
            "train": {n: p for n, p in images.items() if n not in val},
            "val": {n: p for n, p in images.items() if n in val},
        }
        masks = {"train": all_masks, "val": all_masks}
        alone = {"train": [path for stem, path in all_masks.items() if stem not in images], "val": []}
    if not parts[split]:
        raise SemisegError(
            f"no {split} images in {base}: {LAYOUT}; images/ holds: {contents(base / 'images')}; "
            f"masks/ holds: {contents(base / 'masks')}"
        )
    every = {path for s in ("train", "val") for stem, path in masks[s].items() if stem in parts[s]}
    info, ignored, by_colour = _describe(base, sorted(every))
    chosen = {stem: path for stem, path in masks[split].items() if stem in parts[split]}
    found = Folder(info, parts[split], chosen, ignored, by_colour)
    if alone[split]:
        found.remarks = (f"{len(alone[split])} masks have no image of their stem, e.g. {alone[split][0]}: not used",)
    return found


def _describe(base: Path, masks: list[Path]) -> tuple[DatasetInfo, tuple[int, ...], bool]:
    """Description from dataset.yaml, or from the masks' values; further ignored values; whether colours are given."""
    path = base / "dataset.yaml"
    try:
        given: Any = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SemisegError(f"{path} is not YAML ({' '.join(str(error).split())}); correct it") from None
    if not isinstance(given, dict) or set(given) - {"name", "classes", "colours", "ignore"}:
        raise SemisegError(f"{path} may hold name, classes, colours and ignore only; remove the others")
    ignore = given.get("ignore", [])
    ignored = ignore if isinstance(ignore, list) else [ignore]
    if not all(type(v) is int and 0 <= v <= LARGEST for v in ignored):
        raise SemisegError(f"{path}: ignore: {ignore} is not a mask value from 0 to {LARGEST} or a list of them")
    colours = _colours(given["colours"], path) if "colours" in given else None
    if "classes" in given:
        classes = _class_names(given["classes"], path)
    else:
        classes = [f"class_{i}" for i in range(len(colours) if colours else _count(base, masks, ignored))]
    if colours is not None and len(colours) != len(classes):
        raise SemisegError(f"{path}: {len(colours)} colours for {len(classes)} classes; give one each")
    name = str(given.get("name", base.resolve().name))
    info = DatasetInfo(name, tuple(classes), colours or default_colours(len(classes)))
    return info, tuple(ignored), colours is not None


def _class_names(given: Any, path: Path) -> list[str]:
    if isinstance(given, dict):
        if set(given) != set(range(len(given))):
            raise SemisegError(f"{path}: the ids in classes: must be 0, 1, … without gaps; name those between too")
        given = [given[i] for i in range(len(given))]
    if not isinstance(given, list) or not 2 <= len(given) <= IGNORE:
        raise SemisegError(f"{path}: classes: must be a list of 2 to {IGNORE} names, or a mapping from id to name")
    names = [str(name) for name in given]
    if len(set(names)) < len(names):
        raise SemisegError(f"{path}: classes: names one class twice; give each its own name")
    return names


def _colours(given: Any, path: Path) -> tuple[Colour, ...]:
    try:
        colours = tuple((int(red), int(green), int(blue)) for red, green, blue in given)
    except (TypeError, ValueError):
        colours = ()
    if not colours or not all(0 <= v <= 255 for colour in colours for v in colour):
        raise SemisegError(f"{path}: colours: must be a list of [red, green, blue], each from 0 to 255")
    if len(set(colours)) < len(colours):
        raise SemisegError(f"{path}: colours: gives two classes the same colour; make them differ")
    return colours


def _count(base: Path, masks: list[Path], ignored: list[int]) -> int:
    """Number of classes: the highest value in the masks that is not ignored, plus one; at least half must occur."""
    if not masks:
        raise SemisegError(f"no mask in {base}: give masks/ for a few images, with the same file stem")
    occurring: dict[int, Path] = {}
    for path in masks:
        values = read_mask(path)
        if values.ndim == 3:
            raise SemisegError(
                f"{path} is a colour image, not class indices; name classes and colours in dataset.yaml (classes:, "
                f"colours:), or run {convert_command(path)}"
            )
        # Counting bytes is linear, where np.unique sorts every pixel.
        found = np.flatnonzero(np.bincount(values.ravel())) if values.dtype == np.uint8 else np.unique(values)
        for value in found:
            if value not in (IGNORE, *ignored):
                occurring.setdefault(int(value), path)
    highest = max(occurring, default=-1)
    if highest < 1:
        raise SemisegError(
            f"the masks in {base} show a single class ({IGNORE} means ignored); number the classes 0, 1, …, name them "
            f"in dataset.yaml (classes:), or, for black and white masks, run {convert_command(masks[0])}"
        )
    # A stray value, or grey levels: a guess would train a network with hundreds of classes that no mask shows.
    if highest >= IGNORE or 2 * len(occurring) < highest + 1:
        raise SemisegError(
            f"{occurring[highest]} holds the value {highest}, and the masks {len(occurring)} different values in all; "
            "correct the mask, number the classes 0, 1, … and name them in dataset.yaml (classes:), or, for grey "
            f"levels, run {convert_command(masks[0])}"
        )
    return highest + 1
