"""Masks that bear their image's name and an ending: ``a_mask.png`` is that of ``a.jpg``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from semiseg.data.layouts.words import IMAGE_ENDINGS, MASK_ENDING, SEPARATORS
from semiseg.data.pairing import paired, spelling
from semiseg.errors import SemisegError

CITYSCAPES = ("_gtfine_labeltrainids", "_gtfine_labelids")
"""Two masks of one image, of which the first says what is trained on."""


@dataclass
class Matched:
    """Masks by the name of their image; the endings that told; masks of images that have one; masks without image."""

    masks: dict[str, Path]
    endings: list[str] = field(default_factory=list)
    further: list[Path] = field(default_factory=list)
    alone: list[Path] = field(default_factory=list)


def match(images: Iterable[str], masks: dict[str, Path]) -> Matched:
    """Find the image of every mask, by name and then by ending.

    An ending is taken when it is a usual one (:data:`MASK_ENDING`), or the only one of all masks that are left.

    Args:
        images: names, which are paths without suffix.
        masks: files by such a name.

    Raises:
        SemisegError: names that differ in case only, or an image that two usual endings give a mask each.
    """
    names = list(images)
    found, left = paired(names, masks)
    if not left:
        return Matched(found)
    free = set(left)
    lonely = {name: path for name, path in masks.items() if path in free}
    tries = [_by_ending(names, ending, lonely, found) for ending in ("", *_image_endings(names))]
    return max(tries, key=lambda one: len(one.masks))


def _image_endings(names: list[str]) -> list[str]:
    return [ending for ending in IMAGE_ENDINGS if any(spelling(name).endswith(ending) for name in names)]


def _by_ending(names: list[str], of_image: str, masks: dict[str, Path], found: dict[str, Path]) -> Matched:
    keys = {spelling(name).removesuffix(of_image): name for name in names}
    by_ending: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    result = Matched(dict(found))
    for name, path in masks.items():
        text = spelling(name)
        cut = next((cut for cut in range(len(text), 0, -1) if text[:cut] in keys), None)
        if cut is None:
            result.alone.append(path)
        else:
            by_ending[text[cut:]].append((keys[text[:cut]], path))
    usual = [ending for ending in by_ending if _is_usual(ending)]
    if not usual and len(by_ending) == 1 and not result.alone:
        (ending,) = by_ending
        usual = [ending] if ending.startswith(SEPARATORS) and len(by_ending[ending]) > 1 else []
    for ending in sorted(usual, key=lambda e: CITYSCAPES.index(e) if e in CITYSCAPES else -1):
        for name, path in by_ending.pop(ending):
            other = result.masks.get(name)
            if other is None:
                result.masks[name] = path
                result.endings += [ending] if ending and ending not in result.endings else []
            elif name in found or ending in CITYSCAPES:
                result.further.append(path)
            else:
                raise SemisegError(f"{other} and {path} could both be the mask of {name}; keep the masks of one kind")
    for pairs in by_ending.values():
        for name, path in pairs:
            (result.further if name in result.masks else result.alone).append(path)
    return result


def _is_usual(ending: str) -> bool:
    """Whether masks often end so: in a word, in nothing, or in the suffix of their image (``a.jpg.png``)."""
    return not ending or bool(MASK_ENDING.fullmatch(ending)) or ending in (".jpg", ".jpeg", ".png", ".tif", ".bmp")
