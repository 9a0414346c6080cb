"""Any folder: ``images/`` and ``masks/`` with the same stems; an image without a mask is unlabelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from semiseg.data.base import IGNORE, DatasetInfo, default_colours
from semiseg.data.datasets.counting import count_classes
from semiseg.data.datasets.description import LARGEST, Description, read_description
from semiseg.data.files import LOSSY, ImageFiles, contents, files_by_stem, read_mask
from semiseg.data.masks import convert_command
from semiseg.data.pairing import paired, told_alone, unread
from semiseg.data.palettes import read_palette, used_colours
from semiseg.data.rasters import geotiff
from semiseg.data.splits.hashed_folds import validation_part
from semiseg.data.splits.shuffled_folds import permuted_part
from semiseg.data.windows import Window
from semiseg.errors import SemisegError, UsageError

LAYOUT = "expected images/ and masks/ (same file stem), or images/{train,val} and masks/{train,val}"
SPLITS = ("train", "val")
HASH, PERMUTATION, NONE = "hash", "permutation", "none"
"""Values of ``data.options.validation``."""


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
        by_colour: masks may be RGB in the classes' colours; black is ignored where it is no class's colour. So may
            palette files be, where their colours are those of other classes than their indices.
        counted: the classes were counted from the values of all masks.
    """

    def __init__(
        self,
        info: DatasetInfo,
        images: dict[str, Path],
        masks: dict[str, Path],
        ignored: tuple[int, ...] = (),
        by_colour: bool = False,
        counted: bool = False,
    ) -> None:
        self.info, self.files, self.masks, self.by_colour, self.counted = info, images, masks, by_colour, counted
        self.ignored, self.drawn = (IGNORE, *ignored), None
        self.names = sorted(images)
        self.table = np.full(LARGEST + 2, -1, np.int16)  # the last row: any other value
        self.table[: info.num_classes] = np.arange(info.num_classes)
        self.table[[IGNORE, *ignored]] = IGNORE

    def read_label(self, path: Path) -> np.ndarray:
        return self.classes_of(read_mask(path), path)

    def read_label_window(self, path: Path, image: Path, window: Window | None) -> np.ndarray:
        if window is None or not geotiff.reads(path):
            return super().read_label_window(path, image, window)
        geotiff.check_same_place(path, image)
        return self.classes_of(geotiff.read_mask_window(path, window), path)

    def classes_of(self, values: np.ndarray, path: Path) -> np.ndarray:
        """Values or colours of a mask file, (H, W) or (H, W, 3), as classes, uint8 (H, W); raises as :meth:`label`."""
        if values.ndim == 3:
            return self._from_colours(values, path)
        if self.by_colour and self._palette_means_colours(values, path):
            palette = read_palette(path)
            assert palette is not None
            colours = np.zeros((IGNORE + 1, 3), np.uint8)
            colours[: len(palette)] = palette
            return np.where(np.isin(values, self.ignored), np.uint8(IGNORE), self._from_colours(colours[values], path))
        rows = values
        if values.dtype.kind == "i" or values.dtype.itemsize > 2:  # 32-bit files may hold what the table does not reach
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

    def _palette_means_colours(self, values: np.ndarray, path: Path) -> bool:
        """Whether a palette file shows classes' colours under other numbers than theirs: then its colours count.

        Raises:
            SemisegError: some of its colours do, and others are no class's.
        """
        class_of = {colour: k for k, colour in enumerate(self.info.colours)}
        used = used_colours(path, values, self.ignored)
        moved = [i for i, colour in used.items() if class_of.get(colour, i) != i]
        if moved and (strange := [i for i, colour in used.items() if colour not in class_of]):
            i, k = moved[0], strange[0]
            raise SemisegError(
                f"{path}: index {i} has the colour of {self.info.classes[class_of[used[i]]]} in its palette, and index "
                f"{k} the colour {used[k]} of no class; correct colours: in dataset.yaml, or save the mask without a "
                "palette"
            )
        return bool(moved)

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
    return any((root / "images" / split).is_dir() for split in SPLITS)


def open_folder(
    root: str | Path | None, split: str, *, fold: int | None = None, validation: str = HASH, **unknown: Any
) -> Folder:
    """Open ``train`` or ``val`` of a folder.

    ``images/`` and ``masks/``, or ``images/{train,val}`` and ``masks/{train,val}``. In the flat layout about a fifth of
    the images with masks (at least one, at most half) validate: those whose names have a hash in the last fifth of its
    range, or in that with number ``fold`` (0 to 4). They leave the training set, which holds the other images, with and
    without masks. ``dataset.yaml`` beside them may hold ``name``, ``classes`` (a list, or a mapping from id to name),
    ``colours`` (a list of RGB triples), ``ignore`` (a mask value or a list) and ``orientation`` (``upright`` or
    ``stored``: how masks lie on images that an EXIF tag turns); without ``classes`` they are counted from the masks'
    values.

    Args:
        root, split: the folder, and ``train`` or ``val``.
        fold: 0 to 4, which over five runs lets every mask validate; None is 4, but at most half of the masks.
        validation: in the flat layout, ``hash``, ``permutation`` (a fifth of exactly this size that is drawn anew when
            masks are added, as in versions before) or ``none``: all images train.

    Raises:
        UsageError: no root, another option or fold, a fold of fewer than five masks or of a divided set, or a split
            other than train and val.
        SemisegError: nothing that looks like such a folder; the message says what was expected and found.
    """
    if unknown:
        raise UsageError(
            f"a folder has no option {sorted(unknown)[0]!r}; data.options takes fold (0 to 4) and validation only"
        )
    if root is None:
        raise UsageError("data.root is missing: give the folder that holds images/ and masks/")
    if split not in SPLITS:
        raise UsageError(f"a folder has no split {split!r}; choose train or val")
    if validation not in (HASH, PERMUTATION, NONE):
        raise UsageError(f"data.options.validation={validation!r}: choose {HASH}, {PERMUTATION} or {NONE}")
    base = Path(root)
    if not (base / "images").is_dir():
        raise SemisegError(f"no images/ in {base}: {LAYOUT}; found: {contents(base)}")
    divided = is_divided(base)
    if divided and fold is not None:
        raise UsageError(f"{base / 'images'} is divided into train/ and val/ already; leave data.options.fold out")
    images, masks, alone = _divided(base) if divided else _flat(base, fold, validation)
    told = []
    if split == "train":  # said once
        told = [text for part in ("images", "masks") for text in unread(base / part, SPLITS if divided else ())]
    told += [told_alone(images["train"] | images["val"], alone[split])] if alone[split] else []
    if not images[split]:
        raise SemisegError(
            f"no {split} images in {base}: {LAYOUT}; images/ holds: {contents(base / 'images')}; "
            f"masks/ holds: {contents(base / 'masks')}{_hint(told)}"
        )
    said = read_description(base / "dataset.yaml")
    every = sorted({path for part in masks.values() for path in part.values()})
    if not (every or said.classes or said.colours):
        raise SemisegError(f"no mask in {base}: give masks/ for a few images, with the same file stem{_hint(told)}")
    found = Folder(
        _info(base, said, every), images[split], masks[split], said.ignored, said.colours is not None,
        counted=not (said.classes or said.colours),
    )  # fmt: skip
    found.drawn = said.drawn
    found.remarks = tuple(told)
    return found


Parts = dict[str, dict[str, Path]]


def _divided(base: Path) -> tuple[Parts, Parts, dict[str, list[Path]]]:
    """Images, masks by their images' stems, and masks without an image, of train and val."""
    images = {split: files_by_stem(base / "images" / split) for split in SPLITS}
    pairs = {split: paired(images[split], _masks_by_stem(base / "masks" / split)) for split in SPLITS}
    return images, {s: found for s, (found, _) in pairs.items()}, {s: alone for s, (_, alone) in pairs.items()}


def _flat(base: Path, fold: int | None, validation: str) -> tuple[Parts, Parts, dict[str, list[Path]]]:
    """As :func:`_divided`, with the validation images taken from those with masks."""
    images = files_by_stem(base / "images")
    masks, alone = paired(images, _masks_by_stem(base / "masks"))
    choose = {HASH: validation_part, PERMUTATION: permuted_part}.get(validation)
    val = choose(list(masks), fold) if choose is not None and masks else set()

    def parts(files: dict[str, Path]) -> Parts:
        return {s: {name: path for name, path in files.items() if (name in val) == (s == "val")} for s in SPLITS}

    return parts(images), parts(masks), {"train": alone, "val": []}


def _hint(told: list[str]) -> str:
    return "".join(f"; {text}" for text in told)


def _info(base: Path, said: Description, masks: list[Path]) -> DatasetInfo:
    """What dataset.yaml says, the rest from the masks' values."""
    number = len(said.colours) if said.colours else 0
    classes = said.classes or tuple(f"class_{i}" for i in range(number or count_classes(base, masks, said.ignored)))
    return DatasetInfo(said.name or base.resolve().name, classes, said.colours or default_colours(len(classes)))
