"""What breaks a training run later, found before step 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from textwrap import shorten

import numpy as np

from semiseg.data.base import ImageSet, Resize, Size
from semiseg.data.check.finding import Finding
from semiseg.data.check.part import Part
from semiseg.data.datasets.folder import Folder
from semiseg.data.layouts.command import convert_command
from semiseg.data.palettes import PalettesSeen

Progress = Callable[[int, int], None]


@dataclass
class Checked:
    """Findings, errors first; a digest of every mask that was read, by split (train, val, source) and name; and the
    size of the largest validation image with a mask."""

    findings: list[Finding]
    truths: dict[str, dict[str, str]] = field(default_factory=dict)
    largest: Size | None = None


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
    progress: Progress | None = None,
) -> Checked:
    """Read the data as training will and tell what is wrong.

    Args:
        train, val: the two splits.
        labelled: names of the training images that keep their masks.
        crop: (height, width) of the training crop in pixels.
        resize: (height, width) that images are brought to before cropping, or their small side, or None.
        source: X_d, of which every image needs a mask, or None.
        source_resize: as ``resize``, for the source.
        quick: decode the masks and labelled images, but only the first 20 images of a split beside; of the others read
            the headers of their files, and pass over them where a set has no files. No duplicates are looked for.
        progress: called with (images done, images in all).
    """
    chosen = set(labelled)
    found = _check_lists(train, val, chosen, source)
    # Validation comes last, when the pictures that it may share with the others are known.
    parts = [Part(train, "train", resize, chosen), Part(val, "val", None, set(val.names))]
    if source is not None:
        parts.insert(1, Part(source, "source", source_resize, set(source.names)))
    wanted = [part.wanted(quick) for part in parts]
    total, done = sum(map(len, wanted)), 0
    seen: dict[str, str] = {}
    own, others = PalettesSeen(), PalettesSeen()
    for part, indices in zip(parts, wanted, strict=True):
        palettes = others if part.split == "source" else own  # two data sets may each have a palette of its own
        for look in part.looks(indices, quick):
            done += 1
            if progress is not None:
                progress(done, total)
            found += look.findings
            if look.size is None:
                continue
            part.take(look, crop)
            if told := palettes.contradicts(f"{part.split}/{look.name}", look.palette):
                remedy = "save all masks with one palette, or give classes: and colours: in dataset.yaml"
                found.append(Finding("error", f"{part.split}/{look.name}", told, remedy))
            if part.split != "val":
                seen[look.digest] = f"{part.split}/{look.name}"
            elif look.digest in seen and not quick:
                found.append(Finding("warning", f"val/{look.name}", f"the same picture as {seen[look.digest]}",
                                     "remove one, or the figures look better than they are"))  # fmt: skip
        found += part.remarks(crop)
    training = parts[0]
    read = bool(training.truths) and training.any_class is not False
    found += _check_classes(train, training.shown, training.ignores, read)
    order = {"error": 0, "warning": 1, "info": 2}
    found.sort(key=lambda finding: order[finding.level])
    return Checked(found, {part.split: part.truths for part in parts}, parts[-1].largest)


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
        remedy = "label pixels of it"
        if command := _conversion(train):
            remedy += f", or, for black and white masks, run {command}"
        return [Finding("error", "train", message, remedy, command)]
    if absent and any_labelled:
        remedy, command = "label an image that does, or expect IoU 0 for it", ""
        if 2 * len(absent) > len(shown) and (command := _conversion(train)):
            remedy += f"; if the masks hold grey levels instead of 0, 1, …: {command}"
        return [Finding("warning", "train", f"no labelled image shows: {missing}", remedy, command)]
    return []


def _conversion(images: ImageSet) -> str:
    return convert_command(images.root) if isinstance(images, Folder) else ""
