"""Which folders hold the images and which their masks, for each part of a set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semiseg.data.files import SUFFIXES
from semiseg.data.layouts.words import IMAGES, MASKS, folders, splits
from semiseg.errors import SemisegError


@dataclass(frozen=True)
class Place:
    """A folder of images, and that of their masks: the same one where they lie side by side, None where there is none.

    ``split`` is ``train``, ``val`` or empty; ``prefix`` what the names of its images begin with.
    """

    images: Path
    masks: Path | None
    split: str = ""
    prefix: str = ""


def find_places(root: Path) -> list[Place]:
    """The places of a folder; empty where nothing in it is called like images.

    ``images/``, or another usual name, in any case, divided into ``train/`` and ``val/`` or not; ``train/images/``;
    ``site1/images/``; or images in the folder itself, beside their masks or beside a folder of masks.

    Raises:
        SemisegError: several folders could be that of the masks.
    """
    if pictures := _images_of(root):
        masks = masks_of(root)
        if parts := splits(pictures):
            inner = splits(masks) if masks else {}
            return [Place(path, inner.get(s, masks / s if masks else None), s) for s, path in parts.items()]
        return [Place(pictures, masks or pictures)]
    if parts := _filled(splits(root)):
        return [_within(path, split, "") for split, path in parts.items()]
    if has_images(root, deep=False):
        return [Place(root, masks_of(root) or root)]
    sites = [path for path in _visible(root) if _images_of(path)]
    if sites:
        return [_within(path, "", f"{path.name}/") for path in sites]
    return [Place(root, root)] if has_images(root) else []


def is_divided(root: Path) -> bool:
    """Whether a folder says which images train and which validate: ``images/train``, ``train/images``, …"""
    pictures = _images_of(root)
    return bool(splits(pictures) if pictures else _filled(splits(root)))


def masks_of(above: Path) -> Path | None:
    """The folder of masks in ``above``: ``masks/``, else the one of another usual name that holds image files.

    Raises:
        SemisegError: there are several.
    """
    named = folders(above, MASKS)
    if named and named[0].name == MASKS[0]:
        return named[0]
    filled = [path for path in named if has_images(path)]
    if len(filled) > 1:
        raise SemisegError(f"{filled[0]} and {filled[1]} could both hold the masks; rename one, or call the other "
                           f"{above / MASKS[0]}")  # fmt: skip
    if filled:
        return filled[0]
    return next((path for path in named if path.name.casefold() in MASKS[:2]), None)


def has_images(folder: Path, deep: bool = True) -> bool:
    """Whether there is an image file in a folder, or with ``deep`` below it."""
    if not folder.is_dir():
        return False
    return any(is_image(path) for path in (folder.rglob("*") if deep else folder.iterdir()))


def is_image(path: Path) -> bool:
    """Whether a path is called like an image file; names with a dot before them are what file managers leave."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _images_of(above: Path) -> Path | None:
    named = folders(above, IMAGES)
    return next((path for path in named if path.name == IMAGES[0] or has_images(path)), named[0] if named else None)


def _filled(parts: dict[str, Path]) -> dict[str, Path]:
    return {split: path for split, path in parts.items() if has_images(path)}


def _within(folder: Path, split: str, prefix: str) -> Place:
    """Images in a folder of one part: in its own ``images/``, or beside their masks."""
    pictures = _images_of(folder)
    if pictures is None:
        return Place(folder, masks_of(folder) or folder, split, prefix)
    return Place(pictures, masks_of(folder) or pictures, split, prefix)


def _visible(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))
