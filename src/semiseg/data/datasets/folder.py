"""Any folder of images, of which some have masks: read as it lies, if it has the usual names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from semiseg.data.base import IGNORE, DatasetInfo, default_colours
from semiseg.data.datasets.counting import count_classes
from semiseg.data.datasets.described import describe
from semiseg.data.datasets.description import LARGEST, Description
from semiseg.data.files import ImageFiles, contents, read_mask
from semiseg.data.layouts.command import ConvertFirst, convert_command
from semiseg.data.layouts.pairs import Pairs, Part, find_pairs
from semiseg.data.layouts.recognise import convert_first
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


class Folder(ImageFiles):
    """Images and index masks by stem.

    Args:
        info: classes, colours, and the classes' values in the masks.
        images: image files by stem.
        masks: mask files by stem; images without an entry are unlabelled.
        ignored: further mask values that mean "ignore".
        by_colour: masks may be RGB in the classes' colours; black is ignored where it is no class's colour. So may
            palette files be, where their colours are those of other classes than their indices.
        counted: the classes were counted from the values of all masks.
        root: the folder that holds them all, for commands that convert it.
    """

    def __init__(
        self,
        info: DatasetInfo,
        images: dict[str, Path],
        masks: dict[str, Path],
        ignored: tuple[int, ...] = (),
        by_colour: bool = False,
        counted: bool = False,
        root: Path | None = None,
    ) -> None:
        self.info, self.files, self.masks, self.by_colour, self.counted = info, images, masks, by_colour, counted
        self.root = root or next((path.parent.parent for path in images.values()), Path())
        self.drawn = None
        # 255 is ignored, unless it was named as a class.
        self.ignored = ignored if IGNORE in info.ids else (IGNORE, *ignored)
        self.names = sorted(images)
        self.table = np.full(LARGEST + 2, -1, np.int16)  # the last row: any other value
        self.table[list(info.values)] = np.arange(info.num_classes)
        self.table[list(self.ignored)] = IGNORE

    def read_label(self, path: Path) -> np.ndarray:
        return self.classes_of(read_mask(path), path)

    def read_label_window(self, path: Path, image: Path, window: Window | None) -> np.ndarray:
        if window is None or not (geotiff.reads(path) and geotiff.reads(image)):
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
            ids = self.info.ids
            classes = ", ".join(map(str, ids[:8])) if ids else f"0…{self.info.num_classes - 1}"
            nodata = " (ignore: 0, if 0 is no data)" if 0 in values[known < 0] else ""
            raise ConvertFirst(
                f"{path} holds values {wrong} outside the classes {classes}; correct the mask, name the classes or the "
                f"ignored values in dataset.yaml{nodata}, or, for grey levels, run",
                convert_command(self.root),
            )
        return known.astype(np.uint8)

    def _palette_means_colours(self, values: np.ndarray, path: Path) -> bool:
        """Whether a palette file shows classes' colours under other numbers than theirs: then its colours count.

        Raises:
            SemisegError: some of its colours do, and others are no class's.
        """
        class_of = {colour: k for k, colour in enumerate(self.info.colours)}
        used = used_colours(path, values, self.ignored)
        moved = [i for i, colour in used.items() if colour in class_of and class_of[colour] != self.table[i]]
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
            raise ConvertFirst(
                f"{path} is a colour image, not class indices; list the classes' colours in dataset.yaml (colours:), "
                "or run",
                convert_command(self.root),
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


def open_folder(
    root: str | Path | None, split: str, *, fold: int | None = None, validation: str = HASH, **unknown: Any
) -> Folder:
    """Open ``train`` or ``val`` of a folder.

    ``images/`` and ``masks/``, or ``images/{train,val}`` and ``masks/{train,val}``; other usual names, in any case,
    sub-folders, and masks beside their images with an ending such as ``_mask`` are read too
    (:mod:`semiseg.data.layouts`). Where nothing is divided, about a fifth of the images with masks (at least one, at
    most half) validate: those whose names have a hash in the last fifth of its range, or in that with number ``fold``
    (0 to 4). They leave the training set, which holds the other images, with and without masks. ``dataset.yaml`` beside
    them may hold ``name``, ``classes`` (a list, or a mapping from mask value to name), ``colours`` (a list of RGB
    triples), ``ignore`` (a mask value or a list) and ``orientation`` (``upright`` or ``stored``: how masks lie on
    images that an EXIF tag turns); without classes, other tools' files name them (:func:`describe`), else they are
    counted from the masks' values.

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
    found = find_pairs(base)
    if found is None or not found.images:
        raise _not_a_folder(base, found)
    if found.divided and fold is not None:
        raise UsageError(f"{base / 'images'} is divided into train/ and val/ already; leave data.options.fold out")
    parts = found.parts if found.divided else _drawn(found.parts[""], fold, validation)
    part = parts[split]
    if split == "val" and validation == NONE and not found.divided:
        raise UsageError(f"data.options.validation={NONE} leaves no validation image, which a run needs; leave it out")
    if not part.images:
        raise SemisegError(f"no {split} images in {base}: {LAYOUT}; images/ holds: {contents(base / 'images')}; "
                           f"masks/ holds: {contents(base / 'masks')}{_hint(found.told)}")  # fmt: skip
    if not found.masks and (error := convert_first(base)):
        raise error
    said, _ = describe(base)
    if not (found.masks or said.classes or said.colours):
        raise SemisegError(f"no mask in {base}: give masks/ for a few images, with the same file stem"
                           f"{_hint(found.told)}")  # fmt: skip
    if lossy := found.lossy():
        raise ConvertFirst(f"{lossy[0]}: this format changes class indices; run", convert_command(base))
    folder = Folder(
        _info(base, said, found.masks), part.images, part.masks, said.ignored, said.colours is not None,
        counted=not (said.classes or said.colours), root=base,
    )  # fmt: skip
    folder.drawn = said.drawn
    folder.remarks = tuple(part.told)
    return folder


def _not_a_folder(base: Path, found: Pairs | None) -> SemisegError:
    """The error for a folder without images: whose export it is, or what was expected and found."""
    if error := convert_first(base):
        return error
    if found is None or not (base / "images").is_dir():
        return SemisegError(f"no images/ in {base}: {LAYOUT}; found: {contents(base)}")
    return SemisegError(f"no train images in {base}: {LAYOUT}; images/ holds: {contents(base / 'images')}; "
                        f"masks/ holds: {contents(base / 'masks')}{_hint(found.told)}")  # fmt: skip


def _drawn(whole: Part, fold: int | None, validation: str) -> dict[str, Part]:
    """Training and validation images of a folder that is not divided: the latter are taken from those with masks."""
    choose = {HASH: validation_part, PERMUTATION: permuted_part}.get(validation)
    val = choose(list(whole.masks), fold) if choose is not None and whole.masks else set()

    def part(split: str) -> Part:
        images, masks = ({name: path for name, path in files.items() if (name in val) == (split == "val")}
                         for files in (whole.images, whole.masks))  # fmt: skip
        return Part(images, masks, told=whole.told if split == "train" else [])  # said once

    return {split: part(split) for split in SPLITS}


def _hint(told: list[str]) -> str:
    return "".join(f"; {text}" for text in told)


def _info(base: Path, said: Description, masks: list[Path]) -> DatasetInfo:
    """What the folder says of its classes, the rest from the masks' values."""
    number = len(said.colours) if said.colours else 0
    classes = said.classes or tuple(f"class_{i}" for i in range(number or count_classes(base, masks, said.ignored)))
    colours = said.colours or default_colours(len(classes))
    return DatasetInfo(said.name or base.resolve().name, classes, colours, ids=said.ids)
