"""PASCAL VOC 2012 (Everingham et al.) with the further masks of SBD (Hariharan et al., 2011), as downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from semiseg.data.base import Colour, DatasetInfo
from semiseg.data.datasets.layout import wrong_root
from semiseg.data.files import ImageFiles, contents, files_by_stem, read_mask
from semiseg.data.masks import from_values, value_table
from semiseg.data.splits.lists import read_list
from semiseg.errors import SemisegError, UsageError

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
LAYOUT = "JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/val.txt"
LISTS = ("train_aug.txt", "trainaug.txt")
LIST_FOLDERS = ("ImageSets/Segmentation", "ImageSets/SegmentationAug")
TABLE = value_table({k: k for k in range(len(CLASSES))})


def voc_colour(index: int) -> Colour:
    """Colour of a class in VOC's palette: bits 0, 1, 2 of the index are the highest bits of red, green and blue, bits
    3, 4, 5 the next, and so on."""
    red, green, blue = (sum((index >> (3 * k + channel) & 1) << (7 - k) for k in range(8)) for channel in range(3))
    return red, green, blue


INFO = DatasetInfo("PASCAL VOC 2012", CLASSES, tuple(voc_colour(k) for k in range(len(CLASSES))))


class VOC(ImageFiles):
    """Listed images; VOC's own mask where there is one, otherwise SBD's; without either an image is unlabelled.

    Args:
        names: images of the split.
        files: every image by name.
        masks: every mask by name.
    """

    info = INFO

    def __init__(self, names: list[str], files: dict[str, Path], masks: dict[str, Path]) -> None:
        self.names = sorted(names)
        self.files, self.masks = files, masks

    def read_label(self, path: Path) -> np.ndarray:
        return from_values(read_mask(path), TABLE, path, "the classes 0…20 and 255")


def open_voc(root: str | Path | None, split: str, **options: Any) -> VOC:
    """Open ``train`` or ``val`` of VOC 2012, 21 classes.

    ``root`` is ``VOC2012/`` or a folder above it (``VOCdevkit/``, its parent, or the folder of the archive). ``val`` is
    ``ImageSets/Segmentation/val.txt`` (1 449 images). ``train`` (10 582 images with SBD) is read from ``train_aug.txt``
    or ``trainaug.txt`` in ``ImageSets/Segmentation/`` where there; otherwise it is every image with a mask in
    ``SegmentationClass/`` (palette files) or ``SegmentationClassAug/`` (SBD, grey files) that is not in ``val.txt``.
    ``data.options.list=FILE`` names another list: a path, or a file in ``ImageSets/Segmentation/``, e.g. ``train.txt``
    for VOC's own 1 464. In masks 255 is the border and ignored.

    Raises:
        UsageError: no root, another option or split, or a list that names validation images or images not there.
        SemisegError: the folder is not laid out as expected; the message names what was found.
    """
    given = options.pop("list", "auto")
    if options:
        raise UsageError(f"VOC has no option {sorted(options)[0]!r}; there is list")
    if root is None:
        raise UsageError("data.root is missing: give the folder that holds VOC2012/ or VOCdevkit/")
    if split not in ("train", "val"):
        raise UsageError(f"VOC has no split {split!r}; choose train or val")
    top = Path(root)
    base = _find(top)
    if base is None:
        remedy = "unpack VOCtrainval_11-May-2012.tar there"
        raise wrong_root(top, "JPEGImages/ of VOC 2012", f"VOC2012/ with {LAYOUT}", _find, remedy)
    files = files_by_stem(base / "JPEGImages")
    official, sbd = files_by_stem(base / "SegmentationClass"), files_by_stem(base / "SegmentationClassAug")
    if not files or not (official or sbd):
        raise SemisegError(
            f"no {'masks' if files else 'images'} of VOC 2012 in {base}: expected {LAYOUT} (or SegmentationClassAug/); "
            f"found: {contents(base)}; unpack VOCtrainval_11-May-2012.tar again"
        )
    val_list = base / "ImageSets" / "Segmentation" / "val.txt"
    if not val_list.is_file():
        raise SemisegError(
            f"no {val_list}: it says which images are for validation; {val_list.parent} holds: "
            f"{contents(val_list.parent)}; copy it from VOCtrainval_11-May-2012.tar"
        )
    masks = sbd | official
    val = read_list(val_list, list(files))
    if split == "val":
        return VOC(val, files, masks)
    train = _train_names(base, str(given), files, masks, set(val))
    opened = VOC(train, files, masks)
    if bare := sum(name not in masks for name in train):
        opened.remark(f"VOC: {bare} of {len(train)} listed images have no mask in SegmentationClass/ or "
                      "SegmentationClassAug/: they count as unlabelled")  # fmt: skip
    elif given == "auto" and not sbd:
        opened.remark(f"VOC: no SegmentationClassAug/ in {base}: {len(train)} training images; the paper's 10 582 need "
                      "SBD's masks there")  # fmt: skip
    return opened


def _find(top: Path) -> Path | None:
    """``VOC2012/`` at or below a folder."""
    inside = sorted(top.glob("*/VOCdevkit/VOC2012")) if top.is_dir() else []
    candidates = (top, top / "VOC2012", top / "VOCdevkit" / "VOC2012", *inside)
    return next((folder for folder in candidates if (folder / "JPEGImages").is_dir()), None)


def _train_names(base: Path, given: str, files: dict[str, Path], masks: dict[str, Path], val: set[str]) -> list[str]:
    if given == "auto":
        candidates = [base / folder / name for folder in LIST_FOLDERS for name in LISTS]
    else:
        candidates = [Path(given), base / LIST_FOLDERS[0] / given]
    path = next((file for file in candidates if file.is_file()), None)
    if path is None and given != "auto":
        raise UsageError(
            f"no list {given}, nor one of that name in {base / LIST_FOLDERS[0]}; data.options.list takes a text file "
            "with one image name a line, or auto"
        )
    if path is None:
        names = [name for name in masks if name in files and name not in val]
        if not names:
            raise SemisegError(
                f"no training masks of VOC 2012 in {base}: every mask is in val.txt; unpack SegmentationClassAug/ there"
            )
        return names
    names = read_list(path, list(files))
    if leaked := sorted(set(names) & val):
        raise UsageError(
            f"{path} lists {len(leaked)} validation images, e.g. {leaked[0]}; take them out, or figures on val.txt "
            "look better than they are"
        )
    return names
