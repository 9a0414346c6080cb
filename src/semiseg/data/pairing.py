"""Which mask belongs to which image: the same name, however its letters are stored; and what would be left out."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from semiseg.data.files import SUFFIXES
from semiseg.errors import SemisegError

BESIDE = (".txt", ".csv", ".json", ".yaml", ".yml", ".xml", ".md", ".db", ".ini", ".tfw", ".pgw", ".jgw", ".wld")
"""Suffixes of files that lie beside images and are none."""


def spelling(name: str) -> str:
    """A name without regard to case and to how accents are stored: Macs take ä apart, other systems do not."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def paired(images: Iterable[str], masks: dict[str, Path]) -> tuple[dict[str, Path], list[Path]]:
    """Masks by the stem of their image, and the masks without one.

    Stems are equal, or else differ only in their :func:`spelling`.

    Raises:
        SemisegError: such a mask could belong to several images, or an image to several masks.
    """
    stems = list(images)
    found = {stem: masks[stem] for stem in stems if stem in masks}
    free: dict[str, list[str]] = defaultdict(list)
    for stem in stems:
        if stem not in found:
            free[spelling(stem)].append(stem)
    alone: list[Path] = []
    for stem, path in masks.items():
        if stem in found:
            continue
        alike = free.get(spelling(stem), [])
        if len(alike) > 1 or (alike and alike[0] in found):
            other = found[alike[0]] if alike[0] in found else alike[1]
            raise SemisegError(f"{path} and {other} differ from {alike[0]} in case or accents only; rename them")
        if alike:
            found[alike[0]] = path
        else:
            alone.append(path)
    return found, alone


def told_alone(images: Iterable[str], alone: list[Path]) -> str:
    """One sentence on masks without an image, with the ending that keeps them from theirs where there is one."""
    stems = set(images)
    endings = Counter(
        path.stem[cut:] for path in alone for cut in range(len(path.stem) - 1, 0, -1) if path.stem[:cut] in stems
    )
    told = f"{len(alone)} masks have no image of their stem, e.g. {alone[0]}: not used"
    if endings:
        ending, count = endings.most_common(1)[0]
        told += f"; {count} are called IMAGE{ending}{alone[0].suffix}: rename them without {ending}"
    return told


def unread(folder: Path, nested: bool = True) -> list[str]:
    """What of a folder is not read, in sentences: images in its sub-folders (with ``nested``), and other suffixes."""
    if not folder.is_dir():
        return []
    told = []
    below = sorted(folder.rglob("*")) if nested else []
    deeper = [p for p in below
              if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.parent != folder]  # fmt: skip
    if deeper:
        told.append(f"{len(deeper)} files in sub-folders of {folder} are not read, e.g. {deeper[0]}; "
                    f"move them into {folder}")  # fmt: skip
    others = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")
              and path.suffix.lower() not in (*SUFFIXES, *BESIDE)]  # fmt: skip
    if others:
        suffix, count = Counter(path.suffix.lower() for path in others).most_common(1)[0]
        told.append(f"{count} files in {folder} end in {suffix or 'nothing'}, which is not read; save them as PNG")
    return told
