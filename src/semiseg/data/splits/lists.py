"""Which images stay labelled: seeded splits of the sorted list, a list file, or a permutation file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path, PurePosixPath

import numpy as np

from semiseg.config.data import is_permutation
from semiseg.data.files import SUFFIXES
from semiseg.data.pairing import spelling
from semiseg.data.splits.permutations import read_permutation
from semiseg.errors import UsageError, value_shown
from semiseg.runtime.files import write_text

SHARE = r"[-+]?[\d._]{1,30}(e[-+]?\d)?(/\d{1,30})?"
"""A count or a share. Of 1e999999999 Python would begin to write out all digits."""
ANY_NAME = "surrogateescape"  # file names need not be UTF-8; so they are written and read back byte for byte


def parse_labelled(labelled: str | int | float, total: int) -> int:
    """Number of labelled images: a count (``12``), a fraction (``1/30``, ``0.1``) of ``total``, or ``all``.

    A fraction gives the nearest whole number, at least 1: 1/30 of 367 is 12, 1/8 of it 46.

    Raises:
        UsageError: not a number, not positive, or more than there are.
    """
    text = str(labelled).strip()
    shown = value_shown(text)
    if text == "all":
        return total
    try:
        value = Fraction(text if re.fullmatch(SHARE, text, re.ASCII) else "no number")
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"data.labelled={shown}: give a count (12), a fraction (1/30) or all") from None
    if value <= 0:
        raise UsageError(f"data.labelled={shown} must be above 0; give a count (12), a fraction (1/30) or all")
    whole = value.denominator == 1 and "." not in text and "/" not in text
    count = int(value) if whole else max(1, round(value * total))
    if count > total:
        raise UsageError(f"data.labelled={shown}: only {total} images have masks; give at most {total}, or all")
    return count


def seeded_split(names: Sequence[str], labelled: int, seed: int) -> list[str]:
    """The first ``labelled`` of a permutation of the *sorted* names: the same on every file system."""
    ordered = sorted(names)
    order = np.random.default_rng(seed).permutation(len(ordered))
    return [ordered[i] for i in order[:labelled]]


def read_list(path: Path, names: Sequence[str], labelled: str | int | float = "all") -> list[str]:
    """Image names from a text file, one a line, or the first ``labelled`` of a permutation of the *sorted* names.

    In text, blank lines and what follows a ``#`` (after a space) are skipped, unless it is part of an image's name. A
    folder before the name, an image suffix and Cityscapes' ``_leftImg8bit`` are tolerated, as published lists have
    them, and another :func:`semiseg.data.pairing.spelling`, where only one image bears that name; so is the path of the
    mask after that of the image. A permutation is a
    ``.pkl`` or ``.npy`` file with a NumPy integer array, as the authors publish them; a pickle is read without running
    what it contains. Its numbers mean what their author meant only where the author's list was sorted too.

    Raises:
        UsageError: no such file, an empty list, a name twice, names that the data set does not have, a permutation that
            does not fit the data set or that is something else, or ``labelled`` out of range.
    """
    if is_permutation(path):
        ordered = sorted(names)
        order = read_permutation(path, len(ordered))
        return [ordered[i] for i in order[: parse_labelled(labelled, len(ordered))]]
    if not path.is_file():
        raise UsageError(f"no list file {path}; give a text file with one image name a line")
    known = set(names)
    sharing = Counter(_bare(name) for name in names)
    by_bare = {_bare(name): name for name in names if sharing[_bare(name)] == 1}
    found, unknown = [], []
    for line in path.read_text(encoding="utf-8-sig", errors=ANY_NAME).splitlines():
        whole = line.strip()
        word = whole if whole in known else re.split(r"(?:^|\s)#", line)[0].strip()
        if not word:
            continue
        bare = (_bare(word), _bare(word.split()[0]))  # a name may hold spaces, or the mask's path may follow it
        name = word if word in known else next((by_bare[spelling] for spelling in bare if spelling in by_bare), None)
        if name is None:
            unknown.append(word)
        else:
            found.append(name)
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
    """Without folder and image suffix, in one spelling; other dots belong to the name."""
    path = PurePosixPath(name.replace("\\", "/"))
    bare = path.stem if path.suffix.lower() in SUFFIXES else path.name
    return spelling(bare.removesuffix("_leftImg8bit"))


def write_list(path: Path, names: Sequence[str]) -> None:
    """Write names so that :func:`read_list` reads them back."""
    write_text(path, "".join(f"{name}\n" for name in names), errors=ANY_NAME)
