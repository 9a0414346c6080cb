"""Cityscapes (Cordts et al., 2016) as downloaded: ``leftImg8bit/`` and ``gtFine/``, ids mapped to classes in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from semiseg.data.base import DatasetInfo
from semiseg.data.datasets.layout import wrong_root
from semiseg.data.datasets.street_classes import CLASSES, COLOURS, ID_TABLE, TRAIN_ID_TABLE
from semiseg.data.files import ImageFiles, contents, read_mask
from semiseg.data.masks import from_values
from semiseg.errors import SemisegError, UsageError

INFO = DatasetInfo("Cityscapes", CLASSES, COLOURS)
SPLITS = ("train", "val", "test")
IMAGE = "_leftImg8bit.png"
IDS, TRAIN_IDS = "_gtFine_labelIds.png", "_gtFine_labelTrainIds.png"
LAYOUT = f"leftImg8bit/{{train,val}}/CITY/*{IMAGE} and gtFine/{{train,val}}/CITY/*{IDS}"


class Cityscapes(ImageFiles):
    """Images by ``CITY/CITY_SEQUENCE_FRAME``; an image without a mask is unlabelled.

    Args:
        images: folder of the split below ``leftImg8bit/``.
        masks: folder of the split below ``gtFine/``, or None: no image is labelled.
    """

    info = INFO

    def __init__(self, images: Path, masks: Path | None) -> None:
        self.files = _by_name(images, IMAGE)
        self.names = sorted(self.files)
        found = {} if masks is None else _by_name(masks, IDS) | _by_name(masks, TRAIN_IDS)
        self.masks = {name: found[name] for name in self.names if name in found}

    def read_label(self, path: Path) -> np.ndarray:
        if path.name.endswith(TRAIN_IDS):
            return from_values(read_mask(path), TRAIN_ID_TABLE, path, "train ids 0…18 and 255")
        return from_values(read_mask(path), ID_TABLE, path, "the label ids -1…33 and 255")


def open_cityscapes(root: str | Path | None, split: str, **unknown: Any) -> Cityscapes:
    """Open one split (train, val or test) of Cityscapes, 19 classes.

    ``root`` holds ``leftImg8bit/`` and ``gtFine/``, each also accepted inside the folder of its archive
    (``leftImg8bit_trainvaltest/``, ``gtFine_trainvaltest/``). Masks are ``_gtFine_labelTrainIds.png`` where there,
    otherwise ``_gtFine_labelIds.png`` with 33 ids mapped to 19 classes; nothing is written. A split without a folder
    in ``gtFine/`` is unlabelled; so is ``test`` always, whose published masks are blank.

    Raises:
        UsageError: no root, an option, or another split.
        SemisegError: the folder is not laid out as expected; the message names what was found.
    """
    if unknown:
        raise UsageError(f"Cityscapes has no option {sorted(unknown)[0]!r}; leave data.options empty")
    if root is None:
        raise UsageError("data.root is missing: give the folder that holds leftImg8bit/ and gtFine/")
    if split not in SPLITS:
        raise UsageError(f"Cityscapes has no split {split!r}; choose one of {', '.join(SPLITS)}")
    base = Path(root)
    images, masks = _part(base, "leftImg8bit"), _part(base, "gtFine")
    if images is None:
        raise wrong_root(base, "leftImg8bit/ of Cityscapes", LAYOUT, _both, "unpack leftImg8bit_trainvaltest.zip there")
    if masks is None and split != "test":
        raise wrong_root(base, "gtFine/ of Cityscapes", LAYOUT, _both, "unpack gtFine_trainvaltest.zip there")
    labelled = masks is not None and split != "test" and (masks / split).is_dir()
    opened = Cityscapes(images / split, masks / split if masks and labelled else None)
    if not opened.names:
        raise SemisegError(
            f"no Cityscapes images in {images / split}: expected CITY/*{IMAGE}; {images} holds: {contents(images)}; "
            f"{split}/ holds: {contents(images / split)}; unpack leftImg8bit_trainvaltest.zip again"
        )
    if masks and labelled and not opened.masks:
        first = sorted(opened.names)[0].partition("/")[0]
        raise SemisegError(
            f"no Cityscapes masks in {masks / split}: expected CITY/*{IDS}; {first}/ holds: "
            f"{contents(masks / split / first)}; unpack gtFine_trainvaltest.zip again"
        )
    return opened


def _part(base: Path, kind: str) -> Path | None:
    candidates = (base / kind, base / f"{kind}_trainvaltest" / kind)
    return next((folder for folder in candidates if folder.is_dir()), None)


def _both(base: Path) -> bool:
    return None not in (_part(base, "leftImg8bit"), _part(base, "gtFine"))


def _by_name(folder: Path, ending: str) -> dict[str, Path]:
    """Files ``CITY/NAME + ending`` of a split by ``CITY/NAME``; files that start with a dot are a file system's own."""
    return {
        f"{path.parent.name}/{path.name.removesuffix(ending)}": path
        for path in folder.glob(f"*/*{ending}")
        if not path.name.startswith(".")
    }
