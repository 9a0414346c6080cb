"""What breaks a training run later, found before step 0."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from textwrap import shorten
from typing import Literal

import numpy as np

from semiseg.data.base import ImageSet, Resize, Size, resized
from semiseg.data.files import ImageFiles
from semiseg.data.masks import convert_command
from semiseg.errors import SemisegError

QUICK = 20  # images that a quick check reads beside the labelled masks
READERS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class Finding:
    """One thing to know before training; ``remedy`` says what to do about it."""

    level: Literal["error", "warning", "info"]
    where: str
    message: str
    remedy: str


def from_error(where: str, error: SemisegError, remedy: str = "correct that and check again") -> Finding:
    """An error as a finding: what follows the last "; " of its message says what to do, else ``remedy`` does."""
    message, semicolon, advice = str(error).rpartition("; ")
    return Finding("error", where, message, advice) if semicolon else Finding("error", where, advice, remedy)


def check_data(
    train: ImageSet,
    val: ImageSet,
    labelled: Sequence[str],
    crop: Size,
    *,
    resize: Resize | None = None,
    source: ImageSet | None = None,
    source_resize: Resize | None = None,
    quick: bool = False,
) -> list[Finding]:
    """Read the data as training will and report what is wrong, errors first.

    Args:
        train, val: the two splits.
        labelled: names of the training images that keep their masks.
        crop: (height, width) of the training crop in pixels.
        resize: (height, width) that images are brought to before cropping, or their small side, or None.
        source: X_d, of which every image needs a mask, or None.
        source_resize: as ``resize``, for the source.
        quick: read the labelled masks and the first 20 other images of a split only, and look for no duplicates.
    """
    chosen = set(labelled)
    found = _check_lists(train, val, chosen, source)
    seen: dict[bytes, str] = {}
    shown = np.zeros(train.info.num_classes, bool)
    ignored, ignores = train.info.ignore_index, False  # ignores: some pixel of a labelled mask is ignored
    # Validation comes last, when the pictures that it may share with the others are known.
    parts = [(train, "train", resize), (val, "val", None)]
    if source is not None:
        parts.insert(1, (source, "source", source_resize))
    for images, split, fixed in parts:
        small: list[str] = []
        keeps_mask = chosen if split == "train" else set(images.names)
        look_at = partial(_look, images, split, keeps_mask)
        with ThreadPoolExecutor(READERS) as pool:  # decoding releases the lock; what is kept of an image is small
            looks = pool.map(look_at, _wanted(images, chosen if split == "train" else set(), quick))
            for look in looks:
                found += look.findings
                if look.size is None:
                    continue
                seen_as = resized(look.size, fixed)
                if split != "val" and (seen_as[0] < crop[0] or seen_as[1] < crop[1]):
                    small.append(look.name)
                if not quick:
                    if split != "val":
                        seen[look.digest] = f"{split}/{look.name}"
                    elif look.digest in seen:
                        found.append(Finding("warning", f"val/{look.name}", f"the same picture as {seen[look.digest]}",
                                             "remove one, or the figures look better than they are"))  # fmt: skip
                if split == "train" and look.present is not None:
                    shown[look.present[look.present != ignored]] = True
                    ignores |= ignored in look.present
        found += [Finding("warning", split, text, "check that this is what you meant") for text in images.remarks]
        if small:
            found.append(
                Finding("warning", f"{split}/{small[0]}", f"{len(small)} images are smaller than the crop {crop}",
                        "their border is padded and ignored; or choose a smaller data.crop")
            )  # fmt: skip
    found += _check_classes(train, shown, ignores, bool(chosen))
    order = {"error": 0, "warning": 1, "info": 2}
    return sorted(found, key=lambda finding: order[finding.level])


def _check_lists(train: ImageSet, val: ImageSet, chosen: set[str], source: ImageSet | None) -> list[Finding]:
    """What is wrong before any file is read: too few images, or images without a mask."""
    found: list[Finding] = []
    if not chosen:
        found.append(Finding("error", "train", "no labelled image", "add masks for a few images"))
    elif len(chosen) == 1:
        found.append(Finding("warning", "train", "a single labelled image", "label more: one shows little variety"))
    with_mask = {name for i, name in enumerate(train.names) if train.has_label(i)}
    for name in sorted(chosen - with_mask):
        found.append(Finding("error", f"train/{name}", "chosen as labelled, but has no mask", "add its mask, or choose "
                             "another image"))  # fmt: skip
    if chosen.issuperset(train.names):
        found.append(Finding("info", "train", "no unlabelled image", "only supervised training can use such a set"))
    if not any(val.has_label(i) for i in range(len(val))):
        found.append(Finding("error", "val", "no validation image with a mask", "add masks to the validation images"))

    if source is not None and (bare := sum(not source.has_label(i) for i in range(len(source)))):
        found.append(Finding("error", "source", f"{bare} images have no mask", "add them, or remove the images"))
    return found


def _check_classes(train: ImageSet, shown: np.ndarray, ignores: bool, any_labelled: bool) -> list[Finding]:
    """Classes that no labelled mask shows; ``shown`` is bool (C,), ``ignores`` whether a pixel of a mask is ignored."""
    absent = [name for name, occurs in zip(train.info.classes, shown, strict=True) if not occurs]
    missing = shorten(", ".join(absent), 120)
    if ignores and shown.sum() == 1:  # masks of 0 and 255: every trained pixel has the same class, and mIoU is 100
        ignored = train.info.ignore_index
        message = f"the labelled masks show one class and {ignored}, which means ignored, but no {missing}"
        remedy = f"label pixels of it, or, for black and white masks, run {_conversion(train)}"
        return [Finding("error", "train", message, remedy)]
    if absent and any_labelled:
        remedy = "label an image that does, or expect IoU 0 for it"
        if 2 * len(absent) > len(shown):
            remedy += f"; if the masks hold grey levels instead of 0, 1, …: {_conversion(train)}"
        return [Finding("warning", "train", f"no labelled image shows: {missing}", remedy)]
    return []


def _conversion(images: ImageSet) -> str:
    if isinstance(images, ImageFiles) and images.masks:
        return convert_command(next(iter(images.masks.values())))
    return "semiseg data convert --from colour"


def _wanted(images: ImageSet, chosen: set[str], quick: bool) -> list[int]:
    """Which images are read: all, or the chosen and the first ``QUICK`` others."""
    others = [i for i, name in enumerate(images.names) if name not in chosen]
    skipped = set(others[QUICK:]) if quick else set()
    return [i for i in range(len(images)) if i not in skipped]


@dataclass
class _Look:
    """What is kept of an image: its size, a digest of its pixels, and the values of its mask where that is usable."""

    name: str
    findings: list[Finding]
    size: Size | None = None
    digest: bytes = b""
    present: np.ndarray | None = None


def _look(images: ImageSet, split: str, keeps_mask: set[str], i: int) -> _Look:
    look = _Look(images.names[i], [])
    try:
        picture = images.image(i)
    except SemisegError as error:
        look.findings.append(from_error(f"{split}/{look.name}", error, "replace or remove the file"))
        return look
    look.size = (picture.shape[0], picture.shape[1])
    look.digest = hashlib.sha1(picture.tobytes(), usedforsecurity=False).digest()
    if look.name in keeps_mask:
        look.present = _check_mask(images, i, look.size, split, look.findings)
    return look


def _check_mask(images: ImageSet, i: int, size: Size, split: str, found: list[Finding]) -> np.ndarray | None:
    """Values of the mask, the ignored one included, or None when it cannot be used."""
    where = f"{split}/{images.names[i]}"
    try:
        label = images.label(i)
    except SemisegError as error:
        found.append(from_error(where, error, "correct the mask"))
        return None
    if label is None:
        return None
    if label.shape != size:
        found.append(Finding("error", where, f"mask of {label.shape}, image of {size} (height, width)",
                             "make the mask as large as its image"))  # fmt: skip
        return None
    present = np.unique(label)
    if present.tolist() == [images.info.ignore_index]:
        found.append(Finding("warning", where, "every pixel of the mask is ignored", "it teaches nothing; label it"))
    return present
