"""What a comparison is made on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Data:
    """A data set of the comparison.

    Attributes:
        preset: where its runs start from.
        iterations: steps of a semi-supervised run.
        labelled: numbers of masks; ``all`` is the upper bound.
        words: what differs from the preset in all runs.
        root: environment variable with the folder; none where the preset knows by itself.
        folds: whether a split is a fold as well.
        shared_seconds: supervised runs at equal seconds have a multiple of so many steps, rounded up, so that methods
            that cost about the same share one run.
    """

    preset: str
    iterations: int
    labelled: tuple[str, ...]
    words: tuple[str, ...] = ()
    root: str | None = None
    folds: bool = False
    shared_seconds: int = 1
