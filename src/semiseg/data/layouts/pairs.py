"""Images and masks of a folder as it lies there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from semiseg.data.files import LOSSY
from semiseg.data.layouts.beside import apart
from semiseg.data.layouts.endings import Matched, match
from semiseg.data.layouts.places import Place, find_places, is_image
from semiseg.data.layouts.words import splits
from semiseg.data.pairing import told_alone, unread
from semiseg.errors import SemisegError


@dataclass
class Part:
    """Images by name, and their masks by the same names; masks of no image, and what is not read, in sentences."""

    images: dict[str, Path] = field(default_factory=dict)
    masks: dict[str, Path] = field(default_factory=dict)
    alone: list[Path] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


@dataclass
class Pairs:
    """``parts`` by ``train`` and ``val``, or under the empty name where nothing is divided.

    ``told`` says what is not read; ``how`` where images and masks were found.
    """

    parts: dict[str, Part]
    how: str

    @property
    def divided(self) -> bool:
        return "" not in self.parts

    @property
    def told(self) -> list[str]:
        return [text for part in self.parts.values() for text in part.told]

    @property
    def masks(self) -> list[Path]:
        """Every mask that has an image, sorted."""
        return sorted({path for part in self.parts.values() for path in part.masks.values()})

    @property
    def images(self) -> int:
        return sum(len(part.images) for part in self.parts.values())

    def lossy(self) -> list[Path]:
        """Masks in a format that changes the numbers in them."""
        return [path for path in self.masks if path.suffix.lower() in LOSSY]


def find_pairs(root: Path) -> Pairs | None:
    """Images and masks below ``root``, by what folders and files are called; None where no folder holds images.

    Names are paths below the folder of the images, without suffix. Sub-folders are read where nothing else lies beside
    them; images of which two share a name are an error.

    Raises:
        SemisegError: names that could mean several things; the message says which.
    """
    places = find_places(root)
    if not places:
        return None
    divided = any(place.split for place in places)
    parts: dict[str, Part] = {"train": Part(), "val": Part()} if divided else {"": Part()}
    endings: list[str] = []
    for place in places:
        part = parts[place.split]
        images, found = _pair(place)
        clash = next((name for name in images if name in part.images), None)
        if clash is not None:
            raise SemisegError(f"{images[clash]} and {part.images[clash]} share a name; rename one")
        part.images |= images
        part.masks |= found.masks
        part.alone += found.alone
        endings += [ending for ending in found.endings if ending not in endings]
        if found.further:
            part.told.append(f"{len(found.further)} more files bear the names of images that have a mask, e.g. "
                             f"{found.further[0]}: not used")  # fmt: skip
    for part in parts.values():
        if part.alone:
            part.told.append(told_alone([name for each in parts.values() for name in each.images], part.alone))
    first = next(iter(parts.values()))
    first.told = [*_unread(root, places, divided), *first.told]
    return Pairs(parts, _how(root, places, endings))


def _pair(place: Place) -> tuple[dict[str, Path], Matched]:
    """Images of a place by name, and their masks."""
    if place.masks == place.images:
        images, masks = apart(dict(_files(place.images, place.prefix)))
    else:
        images = _single(_files(place.images, place.prefix))
        masks = _single(_files(place.masks, place.prefix)) if place.masks is not None else {}
    return images, match(images, masks)


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, list[Path]]]:
    """Image files by their path without suffix: those in the folder, or, without any, those in its sub-folders."""
    if not folder.is_dir():
        return
    files = [path for path in sorted(folder.iterdir()) if is_image(path)]
    if not files:
        hidden = (".", "__MACOSX")
        files = [path for path in sorted(folder.rglob("*")) if is_image(path)
                 and not any(part.startswith(hidden) for part in path.relative_to(folder).parts)]  # fmt: skip
    named: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        named[prefix + (path.relative_to(folder).parent / path.stem).as_posix()].append(path)
    yield from named.items()


def below(folder: Path) -> dict[str, Path]:
    """Image files of a folder, or, without any, of its sub-folders, by their path in it without suffix.

    Raises:
        SemisegError: two share a stem.
    """
    return _single(_files(folder, ""))


def _single(files: Iterator[tuple[str, list[Path]]]) -> dict[str, Path]:
    found = {}
    for name, paths in files:
        if len(paths) > 1:
            raise SemisegError(f"{paths[1]} and {paths[0].name} share a stem; rename one, masks are found by stem")
        found[name] = paths[0]
    return found


def _unread(root: Path, places: list[Place], divided: bool) -> list[str]:
    """What of the folders is not read, in sentences."""
    told = []
    seen: set[Path] = set()
    for place in places:
        for folder in (place.images, place.masks):
            if folder is None or folder in seen:
                continue
            seen.add(folder)
            direct = folder.is_dir() and any(is_image(path) for path in folder.iterdir())
            if folder != root or place.masks == root:
                told += unread(folder, nested=direct)
            elif direct:
                told += unread(folder, nested=False)
    if divided:
        tops = {place.images.parent for place in places} | {p.masks.parent for p in places if p.masks is not None}
        parts = {part for place in places for part in (place.images, place.masks) if part is not None}
        if own := _filled_splits(root, places):
            tops, parts = {*tops, root}, {*parts, *own}
        told += [text for top in sorted(tops) if top not in parts and (top != root or own)
                 if (text := _outside(top, parts)) is not None]  # fmt: skip
    return told


def _filled_splits(root: Path, places: list[Place]) -> set[Path]:
    """The folders train/ and val/ of ``root`` itself, where the places lie in them."""
    return {path for path in splits(root).values() if any(place.images.is_relative_to(path) for place in places)}


def _outside(top: Path, parts: set[Path]) -> str | None:
    """A sentence on image files below ``top`` that lie in none of ``parts``; None where there are none."""
    files = [path for path in sorted(top.rglob("*")) if is_image(path)
             and not any(path.is_relative_to(part) for part in parts)]  # fmt: skip
    if not files:
        return None
    inside = next((part for part in sorted(parts) if part.parent == top), top)
    return (
        f"{len(files)} files outside of train/ and val/ of {top} are not read, e.g. {files[0]}; move them into {inside}"
    )


def _how(root: Path, places: list[Place], endings: list[str]) -> str:
    """Where images and masks were found, and what ending tells a mask."""
    place = places[0]
    several = " …" if len(places) > 1 else ""
    if place.masks is None or place.masks == place.images:
        text = f"images and masks side by side in {_short(root, place.images)}{several}"
    else:
        text = f"images in {_short(root, place.images)}, masks in {_short(root, place.masks)}{several}"
    return text + (f", masks called IMAGE{endings[0]}" if endings else "")


def _short(root: Path, folder: Path) -> str:
    return "the folder itself" if folder == root else f"{folder.relative_to(root).as_posix()}/"
