"""What more masks are expected to bring, by hand."""

import math

import pytest

from semiseg.experiments.comparison.budget import budgets, expected_gain, sentences


def row(
    method: str, labelled: object, miou: float, equal: str = "steps", words: str | None = None
) -> dict[str, object]:
    return {"method": method, "labelled": labelled, "miou_last": miou, "equal": equal, "words": words}


def test_last_students_by_method_and_number_of_masks() -> None:
    rows = [
        row("supervised", 24, 50.0), row("supervised", 12, 40.0), row("supervised", 12, 44.0),
        row("supervised", 12, 60.0, equal="crops"), row("supervised", "all", 70.0), row("bank", 12, 55.0, words="a=1"),
    ]  # fmt: skip
    assert budgets(rows) == {"supervised": {12: [40.0, 44.0], 24: [50.0]}, "bank a=1": {12: [55.0]}}


def test_the_next_masks_go_on_along_the_logarithm() -> None:
    by_count = {6: [10.0], 12: [40.0, 44.0], 24: [50.0]}
    assert expected_gain(by_count) == pytest.approx(8 * math.log(34 / 24) / math.log(2))
    assert expected_gain(by_count, 24) == pytest.approx(8)
    assert expected_gain({12: [40.0]}) is None
    assert sentences({"bank": by_count, "alone": {12: [1.0]}}) == [
        "bank: ten masks more than 24 are expected to bring +4.0 points"
    ]
