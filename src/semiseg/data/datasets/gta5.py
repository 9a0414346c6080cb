"""GTA5 (Richter et al., 2016, "Playing for Data") as downloaded: ``images/`` and ``labels/``, a source domain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from semiseg.data.base import DatasetInfo, ImageSet
from semiseg.data.datasets.layout import wrong_root
from semiseg.data.datasets.street_classes import CLASSES, COLOURS, GTA5_COLOUR_TABLE, GTA5_ID_COLOURS, GTA5_ID_TABLE
from semiseg.data.files import contents, files_by_stem, read_mask, read_rgb
from semiseg.data.masks import from_values
from semiseg.data.palettes import read_palette
from semiseg.data.pictures import opened
from semiseg.errors import SemisegError, UsageError

INFO = DatasetInfo("GTA5", CLASSES, COLOURS)
LAYOUT = "images/ and labels/ with PNG files of the same number (00001.png)"


class GTA5(ImageSet):
    """Images that have a label file, by number; labels of another size than their image are resized with nearest."""

    info = INFO

    def __init__(self, files: dict[str, Path], labels: dict[str, Path]) -> None:
        self.files, self.labels = files, labels
        self.names = sorted(set(files) & set(labels))
        self._resized = False
        if len(self.names) < len(files):
            self.remark(f"GTA5: {len(files) - len(self.names)} of {len(files)} images have no label file: left out")

    def image(self, i: int) -> np.ndarray:
        return read_rgb(self.files[self.names[i]])

    def has_label(self, i: int) -> bool:
        return True

    def label(self, i: int) -> np.ndarray:
        name = self.names[i]
        label = read_gta5_label(self.labels[name])
        width, height = _size(self.files[name])
        if label.shape == (height, width):
            return label
        if not self._resized:
            self._resized = True
            self.remark(
                f"{self.labels[name]} has {label.shape[0]}x{label.shape[1]} pixels, its image {height}x{width}: this "
                "label and others like it are resized with nearest"
            )
        return np.asarray(Image.fromarray(label).resize((width, height), Image.Resampling.NEAREST))


def read_gta5_label(path: Path) -> np.ndarray:
    """Classes of a label file, uint8 (H, W), 0…18 and 255.

    The download's palette files hold ids. Copies of it hold grey ids, RGB colours, or a palette that a tool has
    re-ordered; of the latter two the colours count. Ids 0…33 are those of Cityscapes; 34 (licence plate) and the
    colour (20, 20, 20) (static) are GTA5's own and ignored.

    Raises:
        SemisegError: the file cannot be read, or holds an id or a colour of no class.
    """
    values = read_mask(path)
    if values.ndim == 3:
        return GTA5_COLOUR_TABLE.decode(values, path)
    palette = read_palette(path)
    if palette is not None:
        used = np.flatnonzero(np.bincount(values.ravel(), minlength=1))
        if used[-1] < len(palette) and not _palette_of_ids(palette, used):
            colours = palette[used]
            if GTA5_COLOUR_TABLE.knows(colours).all():
                return GTA5_COLOUR_TABLE.decode(palette[values], path)
    return from_values(values, GTA5_ID_TABLE, path, "the label ids 0…34 and 255")


def _palette_of_ids(palette: np.ndarray, used: np.ndarray) -> bool:
    ids = np.array(GTA5_ID_COLOURS)
    return bool(used[-1] < len(ids) and (palette[used] == ids[used]).all())


def _size(path: Path) -> tuple[int, int]:
    """(width, height) of an image file, without decoding it."""
    try:
        with opened(path) as image:
            return image.size
    except OSError as error:
        raise SemisegError(f"{path} cannot be read as an image ({error}); replace or remove it") from None


def open_gta5(root: str | Path | None, split: str, **unknown: Any) -> GTA5:
    """Open ``train``: every image of GTA5 with a label file, in the 19 classes of Cityscapes.

    Raises:
        UsageError: no root, an option, or another split: GTA5 is trained on and never evaluated on here.
        SemisegError: the folder is not laid out as expected; the message names what was found.
    """
    if unknown:
        raise UsageError(f"GTA5 has no option {sorted(unknown)[0]!r}; leave data.source.options empty")
    if split != "train":
        raise UsageError(
            f"GTA5 has no split {split!r}: it is a source domain; give it as data.source.dataset=gta5 and the target, "
            "e.g. data.dataset=cityscapes, which is evaluated"
        )
    if root is None:
        raise UsageError("data.source.root is missing: give the folder that holds GTA5's images/ and labels/")
    base = Path(root)
    for part in ("images", "labels"):
        if not (base / part).is_dir():
            remedy = "unpack the archives of images and of labels there"
            raise wrong_root(base, f"{part}/ of GTA5", LAYOUT, _both, remedy, "data.source.root")
    found = GTA5(files_by_stem(base / "images"), files_by_stem(base / "labels"))
    if not found.names:
        raise SemisegError(
            f"no GTA5 image with a label in {base}: expected {LAYOUT}; images/ holds: {contents(base / 'images')}; "
            f"labels/ holds: {contents(base / 'labels')}; unpack the archives so that the files lie there"
        )
    return found


def _both(base: Path) -> bool:
    return (base / "images").is_dir() and (base / "labels").is_dir()
