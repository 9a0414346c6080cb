"""CamVid (Brostow et al., 2009) in the SegNet arrangement, as downloaded: PNG or JPEG images, 11 classes and void."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from semiseg.data.base import DatasetInfo
from semiseg.data.files import ImageFiles, contents, files_by_stem, read_mask
from semiseg.data.splits.folds import FOLDS, time_blocked_folds
from semiseg.errors import SemisegError, UsageError

VOID = 11
INFO = DatasetInfo(
    name="CamVid",
    classes=("sky", "building", "pole", "road", "pavement", "tree", "sign-symbol", "fence", "car", "pedestrian",
             "bicyclist"),
    colours=((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
             (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192)),
)  # fmt: skip
SPLITS = ("train", "val", "test")


class CamVid(ImageFiles):
    """``root/SPLIT`` with images and ``root/SPLITannot`` with index masks of the same stem."""

    info = INFO

    def __init__(self, root: Path, split: str) -> None:
        images, masks = root / split, root / f"{split}annot"
        files = files_by_stem(images)
        if not files:
            raise SemisegError(
                f"no CamVid images in {images}: expected {split}/ and {split}annot/ with files of the same stem; "
                f"{root} holds: {contents(root)}"
            )
        self.names = sorted(files)
        expected = {name: masks / f"{name}.png" for name in self.names}
        self.files, self.masks = files, {name: path for name, path in expected.items() if path.is_file()}

    def read_label(self, path: Path) -> np.ndarray:
        values = read_mask(path)
        if values.ndim == 3:
            raise SemisegError(f"{path} is a colour image; take SegNet's masks, which hold class indices")
        wrong = values[(values < 0) | (values > VOID)]
        if wrong.size:
            shown = ", ".join(str(v) for v in np.unique(wrong)[:5])
            raise SemisegError(
                f"{path} holds values {shown} outside 0…{VOID} (11 classes and void); take SegNet's masks"
            )
        return np.where(values == VOID, self.info.ignore_index, values).astype(np.uint8)


def open_camvid(root: str | Path | None, split: str, *, fold: int | None = None, **unknown: Any) -> CamVid:
    """Open one split (train, val or test) of CamVid, or the train or val part of a fold.

    Args:
        root: the folder that holds train/ and trainannot/.
        split: train, val or test.
        fold: 0, 1 or 2: train and val are those of a fold over the drives of SegNet's train/ and val/ together
            (:func:`semiseg.data.splits.folds.time_blocked_folds`); None: as SegNet's arrangement has them.

    Raises:
        UsageError: no root, an unknown option, another split, or no such fold.
        SemisegError: the folder is not laid out as expected; the message names what was found.
    """
    if unknown:
        raise UsageError(f"CamVid has no option {sorted(unknown)[0]!r}; data.options takes fold (0, 1 or 2) only")
    if root is None:
        raise UsageError("data.root is missing: give the folder that holds CamVid's train/ and trainannot/")
    if split not in SPLITS:
        raise UsageError(f"CamVid has no split {split!r}; choose one of {', '.join(SPLITS)}")
    if fold is None:
        return CamVid(Path(root), split)
    if isinstance(fold, bool) or fold not in range(FOLDS) or split == "test":
        raise UsageError(f"CamVid's {split} has no fold {fold!r}; train and val have 0, 1 and 2")
    return _open_fold(Path(root), split, fold)


def _open_fold(root: Path, split: str, fold: int) -> CamVid:
    images, others = CamVid(root, "train"), CamVid(root, "val")
    images.files |= others.files
    images.masks |= others.masks
    chosen = time_blocked_folds(list(images.files))[fold]
    images.names = chosen.train if split == "train" else chosen.val
    return images
