"""Which images validate: chosen by the data set, said in the table."""

from __future__ import annotations

from semiseg.data.splits.shuffled_folds import FOLDS
from semiseg.derived.choice import Choice
from semiseg.derived.facts import Facts


def validation_images(facts: Facts, fold: int | None) -> Choice:
    """Their number, and where they come from."""
    if facts.own_validation:
        return Choice(facts.validation, "those of images/val")
    if fold is not None:
        return Choice(facts.validation, f"fold {fold} of {FOLDS} over the masks")
    if facts.labelled + facts.validation < FOLDS:
        return Choice(facts.validation, "drawn from the masks")
    return Choice(
        facts.validation,
        f"drawn from the masks, one in five on average; data.options.fold=0 to {FOLDS - 1} lets each validate once",
    )
