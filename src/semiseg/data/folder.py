"""Any folder: ``images/`` and ``masks/`` with the same stems; an image without a mask is unlabelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image, ImageOps

from ..errors import SemisegError, UsageError
from .base import Colour, DatasetInfo, ImageSet, palette
from .samplers import generator

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
IGNORE = 255
LAYOUT = "expected images/ and masks/ (same file stem), or images/{train,val} and masks/{train,val}"


def read_rgb(path: Path) -> np.ndarray:
    """An image file, upright, as uint8 (H, W, 3) RGB.

    Raises:
        SemisegError: the file cannot be read.
    """
    try:
        with Image.open(path) as image:
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise SemisegError(f"{path} cannot be read as an image ({error}); replace or remove it") from None


def read_mask(path: Path) -> np.ndarray:
    """A mask file as stored: uint8 or int (H, W) indices, palette files included, or uint8 (H, W, 3) colours."""
    try:
        with Image.open(path) as mask:
            values = np.array(mask if mask.mode in ("L", "P", "1", "I", "I;16") else mask.convert("RGB"))
    except Exception as error:
        raise SemisegError(f"{path} cannot be read as a mask ({error}); replace or remove it") from None
    return values.astype(np.uint8) if values.dtype == bool else values


def files_by_stem(folder: Path) -> dict[str, Path]:
    """Image files of a folder by stem, sorted.

    Raises:
        SemisegError: two files share a stem.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in found:
            raise SemisegError(f"{path} and {found[path.stem].name} share a stem; rename one, masks are found by stem")
        found[path.stem] = path
    return found


class Folder(ImageSet):
    """Images and index masks by stem.

    Args:
        info: classes, colours.
        images: image files by stem.
        masks: mask files by stem; images without an entry are unlabelled.
        ignored: further mask values that mean "ignore".
        by_colour: masks may be RGB in the classes' colours.
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
        self.table = np.full(65536, -1, np.int16)
        self.table[: info.num_classes] = np.arange(info.num_classes)
        self.table[[IGNORE, *ignored]] = IGNORE

    def image(self, i: int) -> np.ndarray:
        return read_rgb(self.files[self.names[i]])

    def has_label(self, i: int) -> bool:
        return self.names[i] in self.masks

    def label(self, i: int) -> np.ndarray | None:
        path = self.masks.get(self.names[i])
        if path is None:
            return None
        values = read_mask(path)
        if values.ndim == 3:
            return self._from_colours(values, path)
        known = self.table[values]
        if (known < 0).any():
            wrong = ", ".join(str(v) for v in np.unique(values[known < 0])[:5])
            raise SemisegError(
                f"{path} holds values {wrong} outside the classes 0…{self.info.num_classes - 1}; correct the mask, or "
                "name the classes or the ignored values in dataset.yaml"
            )
        return known.astype(np.uint8)

    def _from_colours(self, values: np.ndarray, path: Path) -> np.ndarray:
        if not self.by_colour:
            raise SemisegError(
                f"{path} is a colour image, not class indices; list the classes' colours in dataset.yaml (colours:)"
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
            raise SemisegError(f"{path}: colour {tuple(values[y, x].tolist())} at row {y}, column {x} is no class's; "
                               "add it to colours: in dataset.yaml")  # fmt: skip
        return label


def open_folder(root: str | Path | None, split: str) -> Folder:
    """Open ``train`` or ``val`` of a folder.

    ``images/`` and ``masks/``, or ``images/{train,val}`` and ``masks/{train,val}``. In the flat layout the validation
    set is a fifth of the images with masks (at least one), by a seeded permutation of their sorted list; they leave
    the training set. ``dataset.yaml`` beside them may hold ``name``, ``classes`` (a list), ``colours`` (a list of RGB
    triples) and ``ignore`` (a mask value or a list); without ``classes`` they are counted from the masks' values.

    Raises:
        UsageError: no root, or a split other than train and val.
        SemisegError: nothing that looks like such a folder; the message says what was expected and found.
    """
    if root is None:
        raise UsageError("data.root is missing: give the folder that holds images/ and masks/")
    if split not in ("train", "val"):
        raise UsageError(f"a folder has no split {split!r}; choose train or val")
    base = Path(root)
    if not (base / "images").is_dir():
        there = ", ".join(sorted(p.name for p in base.iterdir())[:8]) if base.is_dir() else "no such folder"
        raise SemisegError(f"no images/ in {base}: {LAYOUT}; found: {there or 'nothing'}")
    divided = (base / "images" / "train").is_dir()
    if divided:
        parts = {s: files_by_stem(base / "images" / s) for s in ("train", "val")}
        masks = {s: files_by_stem(base / "masks" / s) for s in ("train", "val")}
    else:
        images, all_masks = files_by_stem(base / "images"), files_by_stem(base / "masks")
        labelled = sorted(set(images) & set(all_masks))
        order = generator(0, "folder validation").permutation(len(labelled))
        val = {labelled[i] for i in order[: max(1, round(len(labelled) / 5))]}
        parts = {
            "train": {n: p for n, p in images.items() if n not in val},
            "val": {n: p for n, p in images.items() if n in val},
        }
        masks = {"train": all_masks, "val": all_masks}
    if not parts[split]:
        raise SemisegError(f"no {split} images in {base}: {LAYOUT}")
    every = {path for s in ("train", "val") for stem, path in masks[s].items() if stem in parts[s]}
    info, ignored, by_colour = _describe(base, sorted(every))
    chosen = {stem: path for stem, path in masks[split].items() if stem in parts[split]}
    return Folder(info, parts[split], chosen, ignored, by_colour)


def _describe(base: Path, masks: list[Path]) -> tuple[DatasetInfo, tuple[int, ...], bool]:
    path = base / "dataset.yaml"
    given: dict[str, Any] = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}
    if not isinstance(given, dict) or set(given) - {"name", "classes", "colours", "ignore"}:
        raise SemisegError(f"{path} may hold name, classes, colours and ignore only; see the guide")
    ignore = given.get("ignore", [])
    ignored = tuple(int(v) for v in (ignore if isinstance(ignore, list) else [ignore]))
    classes = given.get("classes")
    if isinstance(classes, dict):
        classes = [str(classes[k]) for k in sorted(classes)]
    if classes is None:
        highest = max((int(v) for m in masks for v in _values(m) if v not in (IGNORE, *ignored)), default=-1)
        if highest < 0:
            raise SemisegError(f"no mask in {base}: give masks/ for a few images, with the same file stem")
        classes = [f"class_{i}" for i in range(highest + 1)]
    colours: tuple[Colour, ...] = palette(len(classes))
    if "colours" in given:
        colours = tuple((int(c[0]), int(c[1]), int(c[2])) for c in given["colours"])
        if len(colours) != len(classes):
            raise SemisegError(f"{path}: {len(colours)} colours for {len(classes)} classes; give one each")
    names = tuple(str(c) for c in classes)
    return DatasetInfo(str(given.get("name", base.name)), names, colours), ignored, "colours" in given


def _values(path: Path) -> list[int]:
    values = read_mask(path)
    if values.ndim == 3:
        raise SemisegError(f"{path} is a colour image; name classes and colours in dataset.yaml (classes:, colours:)")
    return [int(v) for v in np.unique(values)]
