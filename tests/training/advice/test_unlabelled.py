"""What is said of the unlabelled images, and what is not because nobody measured it."""

from typing import Any

import pytest

from semiseg.training.advice.circumstances import Circumstances
from semiseg.training.advice.history import History, Validation
from semiseg.training.advice.unlabelled import few, percent, unlabelled

KEY = "method.pseudo.confidence_threshold"


@pytest.mark.parametrize(
    ("iteration", "confident", "quality", "threshold", "expected"),
    [
        (50, None, {}, None, ""),
        (5, 0.0, {"confident": 0.0}, KEY, "the unlabelled images join in after step 10"),
        (10, 0.0, {"confident": 0.0}, KEY, "the unlabelled images join in after step 10"),  # no step has used one yet
        (11, 0.4, {"confident": 0.5}, KEY, "the teacher is sure of 50 % of the unlabelled pixels"),
        (50, 0.03, {"confident": 0.5}, KEY, f"only 3 % of unlabelled pixels count: lower {KEY}"),
        (50, 0.0, {}, KEY, f"only 0 % of unlabelled pixels count: lower {KEY}"),
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
    assert few(found, run) + unlabelled(found, run) == expected


@pytest.mark.parametrize("done", [40, 100])
def test_images_that_wait_to_the_end_never_join_in(done: int) -> None:
    found = History((Validation(done, 50.0),), confident=0.0)
    run = Circumstances(100, 12, 4, waits_until=100, threshold=KEY)
    assert few(found, run) + unlabelled(found, run) == "the unlabelled images never join in"


@pytest.mark.parametrize(
    ("share", "expected"), [(0, "0 %"), (0.003, "0.3 %"), (0.0149, "1 %"), (0.714, "71 %"), (1, "100 %")]
)
def test_percent(share: float, expected: str) -> None:
    assert percent(share) == expected
