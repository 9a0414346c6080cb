"""Which images stay labelled: seeded splits of the sorted list, or a list file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import UsageError
from .folder import SUFFIXES


def parse_labelled(labelled: str | int | float, total: int) -> int:
    """Number of labelled images: a count (``12``), a fraction (``1/30``, ``0.1``) of ``total``, or ``all``.

    A fraction gives the nearest whole number, at least 1: 1/30 of 367 is 12, 1/8 of it 46.

    Raises:
        UsageError: not a number, not positive, or more than there are.
    """
    text = str(labelled).strip()
    if text == "all":
        return total
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"data.labelled={text!r}: give a count (12), a fraction (1/30) or all") from None
    if value <= 0:
        raise UsageError(f"data.labelled={text!r} must be above 0; give a count (12), a fraction (1/30) or all")
    whole = value.denominator == 1 and "." not in text and "/" not in text
    count = int(value) if whole else max(1, round(value * total))
    if count > total:
        raise UsageError(f"data.labelled={text!r}: only {total} images have masks; give at most {total}, or all")
    return count


def seeded_split(names: Sequence[str], labelled: int, seed: int) -> list[str]:
    """The first ``labelled`` of a permutation of the *sorted* names: the same on every file system."""
    ordered = sorted(names)
    order = np.random.default_rng(seed).permutation(len(ordered))
    return [ordered[i] for i in order[:labelled]]


def read_list(path: Path, names: Sequence[str]) -> list[str]:
    """Image names from a text file, one a line; blank lines and what follows a ``#`` (after a space) are skipped.

    A folder before the name and an image suffix are tolerated, as published lists have them, where only one image
    bears that name.

    Raises:
        UsageError: no such file, an empty list, a name twice, or names that the data set does not have.
    """
    if not path.is_file():
        raise UsageError(f"no list file {path}; give a text file with one image name a line")
    known = set(names)
    sharing = Counter(_bare(name) for name in names)
    by_bare = {_bare(name): name for name in names if sharing[_bare(name)] == 1}
    found, unknown = [], []
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        word = re.split(r"(?:^|\s)#", line)[0].strip()
        if not word:
            continue
        if word in known:
            found.append(word)
        elif (name := by_bare.get(_bare(word))) is not None:
            found.append(name)
        else:
            unknown.append(word)
    if unknown:
        shown = ", ".join(unknown[:3])
        raise UsageError(f"{path}: {len(unknown)} names are not in the data set, e.g. {shown}; give its image names")
    if not found:
        raise UsageError(f"{path} lists no image; write one image name a line")
    if len(set(found)) < len(found):
        twice = next(name for name in found if found.count(name) > 1)
        raise UsageError(f"{path} lists {twice} twice; keep one line of it")
    return found


def _bare(name: str) -> str:
    """Without folder and image suffix; other dots belong to the name."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def write_list(path: Path, names: Sequence[str]) -> None:
    """Write names so that :func:`read_list` reads them back."""
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
