"""CamVid (Brostow et al., 2009) in the SegNet arrangement, as downloaded: PNG or JPEG images, 11 classes and void."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from semiseg.data.base import DatasetInfo
from semiseg.data.files import ImageFiles, contents, files_by_stem, read_mask
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


def open_camvid(root: str | Path | None, split: str, **unknown: Any) -> CamVid:
    """Open one split (train, val or test) of CamVid.

    Raises:
        UsageError: no root, an option, or another split.
        SemisegError: the folder is not laid out as expected; the message names what was found.
    """
    if unknown:
        raise UsageError(f"CamVid has no option {sorted(unknown)[0]!r}; leave data.options empty")
    if root is None:
        raise UsageError("data.root is missing: give the folder that holds CamVid's train/ and trainannot/")
    if split not in SPLITS:
        raise UsageError(f"CamVid has no split {split!r}; choose one of {', '.join(SPLITS)}")
    return CamVid(Path(root), split)
