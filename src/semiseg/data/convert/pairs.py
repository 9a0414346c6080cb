"""Images and masks to convert: those of a folder as it lies, or masks of one folder and images of another."""

from __future__ import annotations

from pathlib import Path

from semiseg.data.convert.inside import Inside
from semiseg.data.files import contents
from semiseg.data.layouts.endings import match
from semiseg.data.layouts.pairs import Pairs, Part, below, find_pairs
from semiseg.data.layouts.places import masks_of
from semiseg.data.layouts.words import splits
from semiseg.data.pairing import told_alone
from semiseg.errors import SemisegError

LAYOUT = "images/ and masks/, other usual names, or masks with --images DIR"


def pairs_inside(source: Path, images: Path | None) -> Pairs:
    """Images and masks of ``source``, or masks of it and images of another folder; none leads out of them.

    Raises:
        SemisegError: no masks or images, or a link that leads elsewhere.
    """
    if not source.is_dir():
        raise SemisegError(f"no folder {source}; expected {LAYOUT}")
    found = find_pairs(source) if images is None else _apart(source, images)
    if found is None:
        raise SemisegError(f"no images for the masks of {source}: expected {LAYOUT}; found: {contents(source)}")
    known = Inside([source] if images is None else [source, images])
    for part in found.parts.values():
        for path in (*part.images.values(), *part.masks.values()):
            known.check(path)
    if not any(part.masks or part.alone for part in found.parts.values()):
        raise SemisegError(f"no masks in {source}: expected {LAYOUT}; found: {contents(source)}")
    if not found.masks:
        raise SemisegError(f"no mask in {source} has the stem of an image; give the images' folder with --images DIR")
    return found


def _apart(source: Path, images: Path) -> Pairs:
    if not images.is_dir():
        raise SemisegError(f"no folder {images} with the images; give it with --images DIR")
    masks = masks_of(source) or source
    inner = splits(masks)
    places = {split: (path, inner.get(split, masks / split)) for split, path in splits(images).items()}
    parts = {}
    for split, (pictures, drawn) in (places or {"": (images, masks)}).items():
        files = below(pictures)
        found = match(files, below(drawn))
        told = [told_alone(files, found.alone)] if found.alone else []
        parts[split] = Part(files, found.masks, found.alone, told)
    return Pairs(parts, "")
