"""What is said of the unlabelled images, and what is not because nobody measured it."""

from typing import Any

import pytest

from semiseg.training.advice.circumstances import Circumstances
from semiseg.training.advice.history import History, Validation
from semiseg.training.advice.unlabelled import percent, unlabelled

KEY = "method.pseudo.confidence_threshold"


@pytest.mark.parametrize(
    ("iteration", "confident", "quality", "threshold", "expected"),
    [
        (50, None, {}, None, ""),
        (5, 0.0, {"confident": 0.0}, KEY, "the unlabelled images join in at step 10"),
        (50, 0.03, {"confident": 0.5}, KEY, f"only 3 % of the unlabelled pixels count: a lower {KEY} lets more in"),
        (50, 0.0, {}, KEY, f"only 0 % of the unlabelled pixels count: a lower {KEY} lets more in"),
        (15, 0.03, {"confident": 0.5}, KEY, "the teacher is sure of 50 % of the unlabelled pixels"),  # it begins
        (50, 0.03, {"confident": 0.5}, None, "the teacher is sure of 50 % of the unlabelled pixels"),
        (50, 0.4, {"confident": 0.71, "confident_accuracy": None}, KEY,
         "the teacher is sure of 71 % of the unlabelled pixels"),
        (50, 0.4, {"confident": 0.71, "confident_accuracy": 0.93}, KEY,
         "the teacher is sure of 71 % of the unlabelled pixels, and right on 93 % of those"),
        (50, 0.4, {"confident": None, "accuracy": None}, KEY, ""),
    ],
)  # fmt: skip
def test_clauses(
    iteration: int, confident: float | None, quality: dict[str, Any], threshold: str | None, expected: str
) -> None:
    run = Circumstances(100, 12, 4, waits_until=10, threshold=threshold)
    found = History((Validation(iteration, 50.0, None, quality),), confident=confident)
    assert unlabelled(found, run) == expected


@pytest.mark.parametrize(
    ("share", "expected"), [(0, "0 %"), (0.003, "0.3 %"), (0.0149, "1 %"), (0.714, "71 %"), (1, "100 %")]
)
def test_percent(share: float, expected: str) -> None:
    assert percent(share) == expected
