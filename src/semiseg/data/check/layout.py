"""What a folder is laid out as, how sure that is, and what makes it usable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from semiseg.data.datasets.described import describe
from semiseg.data.layouts.pairs import find_pairs
from semiseg.data.layouts.recognise import recognise
from semiseg.errors import SemisegError


@dataclass(frozen=True)
class Laid:
    """A sentence on what was found; how sure it is; the command that makes it usable, empty where it is read as it is.

    ``sure`` is ``certain`` where every mask has its image or an export says what it is, ``likely`` where some masks
    have none or an export could be another's, and ``unknown`` where nothing is recognised.
    """

    told: str
    sure: Literal["certain", "likely", "unknown"]
    command: str = ""


def laid_out(root: Path) -> Laid:
    """What lies in a folder, or which export a file is."""
    try:
        pairs = find_pairs(root) if root.is_dir() else None
        named = describe(root)[1] if root.is_dir() else None
    except SemisegError as error:
        return Laid(str(error), "unknown")
    if pairs is not None and pairs.masks:
        alone = sum(len(part.alone) for part in pairs.parts.values())
        masks = len(pairs.masks) + alone
        text = f"{pairs.how}: {len(pairs.masks)} of {masks} masks have their image, {pairs.images} images in all"
        names = f", classes named by {named.name}" if named is not None else ""
        return Laid(text + names, "likely" if alone else "certain")
    if found := recognise(root):
        return Laid(found[0].told, found[0].sure, found[0].command(root))
    if pairs is not None and pairs.images:
        return Laid(f"{pairs.how}: {pairs.images} images, and no mask of theirs", "unknown")
    return Laid("neither images and masks of usual names nor a known export", "unknown")
