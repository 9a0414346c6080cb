"""Validation images as they were drawn before their names decided: one of five parts of a permutation.

Runs that began so go on so; ``data.options.validation=permutation`` gives it to others.
"""

from __future__ import annotations

from collections.abc import Sequence

from semiseg.data.samplers import generator
from semiseg.errors import UsageError

FOLDS = 5


def permuted_part(names: Sequence[str], fold: int | None = None) -> set[str]:
    """Names that validate: a fifth of them, at least one, by a permutation that depends on their number alone.

    Args:
        names: all images with masks, in any order; the permutation is that of their sorted list.
        fold: 0 to 4 gives the parts of the permutation in turn, so that every image validates in exactly one of five
            runs; None is the last part, as 4.

    Raises:
        UsageError: no such fold, or fewer than five names for one.
    """
    check_fold(fold, len(names))
    ordered = sorted(names)
    count = len(ordered)
    order = [ordered[i] for i in generator(0, "folder validation").permutation(count)]
    if fold is None:
        return set(order[-max(1, round(count / FOLDS)) :])
    return set(order[round(fold * count / FOLDS) : round((fold + 1) * count / FOLDS)])


def check_fold(fold: int | None, count: int) -> None:
    """Refuse a fold that ``count`` images with masks cannot have.

    Raises:
        UsageError: no such fold, or fewer than five images for one.
    """
    if fold is None:
        return
    if isinstance(fold, bool) or fold not in range(FOLDS):
        raise UsageError(f"data.options.fold={fold!r}: a folder has the folds 0 to {FOLDS - 1}")
    if count < FOLDS:
        raise UsageError(f"data.options.fold needs {FOLDS} images with masks, and there are {count}: leave it out")
