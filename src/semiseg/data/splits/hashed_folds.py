"""Which of the labelled images validate where a data set does not say so: their names alone decide, one fifth each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from semiseg.data.pairing import spelling
from semiseg.data.splits.lists import ANY_NAME
from semiseg.data.splits.shuffled_folds import FOLDS, check_fold

SALT = "split"
PART = 2**61


def validation_part(names: Sequence[str], fold: int | None = None) -> set[str]:
    """Names that validate: those whose hash lies in one of five equal parts of its range; at least one.

    A name's part does not depend on the others, so that an image that was trained on does not come to validate when
    masks are added. Where no hash lies in the part, the next one after it validates (and then in another fold too).
    Where more than half do, the first half validates unless a fold is named, in which one is left to train on; only
    then may a further mask move one of the others.

    Args:
        names: all images with masks, in any order.
        fold: 0 to 4 gives the parts in turn, so that every image validates in one of five runs; None is the last, 4.

    Raises:
        UsageError: no such fold, or fewer than five names for one.
    """
    check_fold(fold, len(names))
    start = (FOLDS - 1 if fold is None else fold) * PART
    after = {name: (place(name) - start) % (FOLDS * PART) for name in names}
    ordered = sorted(names, key=lambda name: (after[name], name))
    count = sum(distance < PART for distance in after.values())
    most = len(ordered) // 2 if fold is None else len(ordered) - 1
    return set(ordered[: max(1, min(count, most))])


def place(name: str) -> int:
    """Hash of a name, 0 to FOLDS · PART - 1, the same in every :func:`spelling`."""
    text = f"{SALT}/{spelling(name)}".encode(errors=ANY_NAME)
    return int.from_bytes(hashlib.sha256(text).digest()[:16], "big") % (FOLDS * PART)
