"""From the lines of metrics.jsonl to what the words need."""

import math
from typing import Any

import pytest

from semiseg.training.advice.history import history


def train(iteration: int, **values: float) -> dict[str, Any]:
    return {"kind": "train", "iteration": iteration, "loss": 9.0, **values}


def validation(iteration: int, miou: float | None) -> dict[str, Any]:
    return {"kind": "validation", "iteration": iteration, "miou": miou, "images": 2}


def test_losses_are_means_since_the_validation_before() -> None:
    rows = [
        train(10, supervised=4.0), train(20, supervised=2.0), validation(20, 30.0),
        {"kind": "pseudo_labels", "iteration": 20, "confident": 0.5, "accuracy": None},
        train(30, supervised=1.0, confident=0.25), validation(30, 40.0),
    ]  # fmt: skip
    found = history(rows)
    assert found is not None
    assert found.curve == [30.0, 40.0] and [v.loss for v in found.validations] == [3.0, 1.0]
    assert found.validations[0].quality["confident"] == 0.5 and found.last.quality == {}
    assert (found.first_loss, found.confident) == (4.0, 0.25)


def test_the_best_is_the_first_of_equals() -> None:
    found = history([validation(1, 30.0), validation(2, 30.0), validation(3, 20.0)])
    assert found is not None
    assert (found.best.iteration, found.last.iteration) == (1, 3)


@pytest.mark.parametrize("rows", [[], [train(1, supervised=1.0)], [validation(1, None)], [validation(1, math.nan)]])
def test_nothing_measured_is_nothing_to_say(rows: list[dict[str, Any]]) -> None:
    assert history(rows) is None


def test_a_method_without_that_term_and_a_loss_that_is_no_number() -> None:
    found = history([train(1), train(2, supervised=math.nan), validation(2, 30.0)])
    assert found is not None
    assert found.first_loss is None and found.last.loss is None and found.confident is None
