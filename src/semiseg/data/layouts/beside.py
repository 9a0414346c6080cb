"""Images and masks in one folder: told apart by their endings, else by what the files hold."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from semiseg.data.files import LOSSY
from semiseg.data.layouts.words import IMAGE_ENDINGS, MASK_ENDING
from semiseg.data.pairing import spelling
from semiseg.data.pictures import opened
from semiseg.errors import SemisegError

FEW, FEW_COLOURS = 64, 32  # values of a grey file, and colours of a coloured one, that are taken for a mask
SAMPLES = 3  # files of a kind that are opened


def apart(files: dict[str, list[Path]]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images and masks, each by name, of files by their path without suffix.

    Raises:
        SemisegError: two files of one stem, of which neither is plainly the mask.
    """
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    kinds: dict[tuple[str, ...], list[str]] = defaultdict(list)
    known = {spelling(name) for name in files}
    for name, paths in files.items():
        if len(paths) == 1:
            (masks if _has_ending(name, known) else images)[name] = paths[0]
        else:
            kinds[tuple(sorted(path.suffix.lower() for path in paths))].append(name)
    for suffixes, names in kinds.items():
        of_masks = _suffix_of_masks(suffixes, [files[name] for name in names[:SAMPLES]])
        for name in names:
            for path in files[name]:
                (masks if path.suffix.lower() == of_masks else images)[name] = path
    return images, masks


def _has_ending(name: str, known: set[str]) -> bool:
    """Whether a name is one of those ``known``, spelt as they are, and the usual ending of a mask."""
    text = spelling(name)
    found = MASK_ENDING.search(text)
    if found is None:
        return False
    return any(text[: found.start()] + ending in known for ending in ("", *IMAGE_ENDINGS))


def _suffix_of_masks(suffixes: tuple[str, ...], samples: list[list[Path]]) -> str:
    scores = {suffix: min(_score(path) for paths in samples for path in paths if path.suffix.lower() == suffix)
              for suffix in suffixes}  # fmt: skip
    best = sorted(scores, key=lambda suffix: scores[suffix])
    if len(scores) != 2 or len(suffixes) != 2 or scores[best[0]] == scores[best[1]]:
        one, other = samples[0][:2]
        raise SemisegError(f"{other} and {one.name} share a stem; rename one, or, if one is the mask, move the masks "
                           "to a folder masks/ beside images/")  # fmt: skip
    return best[1]


def _score(path: Path) -> int:
    """How much a file looks like a mask: 2 as one channel of few values, 1 as few colours, 0 not at all."""
    if path.suffix.lower() in LOSSY:
        return 0
    try:
        with opened(path) as file:
            grey = file.mode in ("1", "L", "P") or file.mode.startswith("I")
            values = np.asarray(file if grey else file.convert("RGB"))
    except Exception:  # damaged files raise nearly anything; reading them names them
        return 0
    if not grey:
        values = values.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    count = len(np.unique(values))
    return (2 if grey else 1) if 2 <= count <= (FEW if grey else FEW_COLOURS) else 0
