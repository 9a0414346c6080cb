"""The sentence of a validation: a table of runs and what a reader is told."""

import itertools
from typing import Any

import pytest

from semiseg.training.advice.circumstances import Circumstances
from semiseg.training.advice.history import History, Validation
from semiseg.training.advice.sentence import LONGEST, sentence

RUN = Circumstances(iterations=1000, labelled=12, images=2)
KEY = "method.pseudo.confidence_threshold"
TEACHES = {"confident": 0.71, "confident_accuracy": 0.93, "accuracy": 0.84}


def run(curve: list[float], losses: list[float] | None = None, last: int | None = None, **more: Any) -> History:
    """A run validated every 100 steps, or so that its last validation is at step ``last``."""
    every = 100 if last is None else last // len(curve)
    known: list[Any] = losses or [None] * len(curve)
    qualities = more.pop("quality", [{}] * len(curve))
    rows = zip(curve, known, qualities, strict=True)
    return History(tuple(Validation(every * (i + 1), *row) for i, row in enumerate(rows)), **more)


FALLS = [2.0, 1.0, 0.7, 0.5, 0.4, 0.3]
STILL = [0.5] * 6


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (run([44.1]), "mIoU 44.1: with 2 validation images, changes of this network below about 6 points are chance"),
        (run([44.1, 49.0]), "mIoU 49.0 (+4.9): too early to call a trend"),
        (run([44.1, 49.0], last=1000), "mIoU 49.0 (+4.9): too few validations to call a trend"),
        (run([40, 50, 58, 63], quality=[{}, {}, {}, TEACHES]),
         "mIoU 63.0 (+5.0): still rising; the teacher is sure of 71 % of the unlabelled pixels, and right on 93 % of "
         "those"),
        (run([40, 50, 58, 63], last=1000),
         "mIoU 63.0 (+5.0): still rising, so that more steps would probably help"),
        (run([30, 40, 50, 58, 64, 63]), "mIoU 63.0 (-1.0 from its best at 500): rising on the whole"),
        (run([40, 50, 58, 58.5, 58, 58.2], FALLS),
         "mIoU 58.2 (-0.3 from its best at 400): no gain beyond chance while the training loss falls: more masks would "
         "help more than more time"),
        (run([40, 50, 58, 58.5, 58, 58.2], STILL, first_loss=2.0),
         "mIoU 58.2 (-0.3 from its best at 400): no gain beyond chance (5 points), nor in the training loss"),
        (run([50, 58, 58.5, 58, 58.2], STILL[:5], first_loss=2.0, last=1000),
         "mIoU 58.2 (-0.3 from its best at 600): no gain beyond chance (6 points), nor in the training loss: more "
         "steps alone would hardly help"),
        (run([20, 21, 20.5, 21, 20.8, 20.9], STILL, first_loss=0.7),
         "mIoU 20.9 (-0.1 from its best at 200): no gain beyond chance, the training loss at 71 % of its first: try a "
         "higher learning rate"),
        (run([40, 50, 58, 58.5, 58, 58.2]), "mIoU 58.2 (-0.3 from its best at 400): no gain beyond chance (5 points)"),
        (run([50, 60, 62, 58, 54, 50], FALLS),
         "mIoU 50.0 (-12.0 from its best at 300): the network now learns the 12 masks by heart; more masks would help "
         "more than more time"),
        (run([50, 60, 62, 58, 54, 50], STILL),
         "mIoU 50.0 (-12.0 from its best at 300): falling, and the training loss falls no more: try a lower learning "
         "rate"),
        (run([50, 60, 62, 58, 54, 50]), "mIoU 50.0 (-12.0 from its best at 300): falling"),
        (run([50, 60, 62, 58, 54, 50], FALLS, quality=[{"accuracy": x} for x in (0.7, 0.8, 0.84, 0.83, 0.8, 0.79)]),
         "mIoU 50.0 (-12.0 from its best at 300): falling, and so do the teacher's labels: 84 % were right then, 79 % "
         "are now"),
    ],
)  # fmt: skip
def test_words(history: History, expected: str) -> None:
    assert sentence(history, RUN) == expected


@pytest.mark.parametrize(
    ("teacher", "clause"),
    [(60.0, "; the teacher 3.0 points below"), (64.5, "; the teacher 1.5 points above"), (62.5, ""), (None, "")],
)
def test_a_teacher_that_is_not_like_its_student(teacher: float | None, clause: str) -> None:
    known = run([40, 50, 58, 63])
    last = Validation(400, 63.0, quality={"confident": 0.71}, teacher=teacher)
    words = sentence(History((*known.validations[:-1], last)), RUN)
    assert words == f"mIoU 63.0 (+5.0): still rising{clause}; the teacher is sure of 71 % of the unlabelled pixels"


def test_before_pseudo_labels_begin_no_cause_is_named() -> None:
    waiting = Circumstances(1000, 12, 2, waits_until=900)
    assert sentence(run([50, 60, 62, 58, 54, 50], FALLS), waiting) == (
        "mIoU 50.0 (-12.0 from its best at 300): falling; the unlabelled images join in after step 900"
    )


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        ([50.0, 50.0], "mIoU 50.0 (level with its best at 100): too early to call a trend"),
        ([50.0, 49.97], "mIoU 50.0 (level with its best at 100): too early to call a trend"),
        ([50.0, 49.94], "mIoU 49.9 (-0.1 from its best at 100): too early to call a trend"),
    ],
)
def test_a_figure_that_reads_the_same_is_not_told_as_a_loss(curve: list[float], words: str) -> None:
    assert sentence(run(curve), RUN) == words


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        ([50, 50, 51, 50], "mIoU 50.0 (-1.0 from its best at 90000): no gain beyond chance; "),
        ([70, 60, 40, 20], "mIoU 20.0 (-50.0 from its best at 30000): falling; "),
    ],
)
def test_where_too_few_pixels_count_that_is_the_cause_that_is_named(curve: list[float], words: str) -> None:
    known = run(curve, [2.0, 1.0, 0.5, 0.2], 120_000, confident=0.0004)
    waits = Circumstances(150_000, 12, 2, threshold=KEY)
    assert sentence(known, waits) == (
        words + "only 0.0 % of unlabelled pixels count: lower method.pseudo.confidence_threshold"
    )


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        ([50, 60, 62, 58, 54, 50], "mIoU 50.0 (-12.0 from its best at 300): falling"),
        ([40, 50, 58, 58.5, 58, 58.2], "mIoU 58.2 (-0.3 from its best at 400): no gain beyond chance (5 points)"),
    ],
)
@pytest.mark.parametrize("losses", [FALLS, FALLS[::-1]])
def test_the_training_loss_is_not_compared_with_that_before_they_joined_in(
    curve: list[float], words: str, losses: list[float]
) -> None:
    assert sentence(run(curve, losses), Circumstances(1000, 12, 2, waits_until=350)) == words


def test_at_the_very_step_from_which_they_join_in_no_cause_is_named_either() -> None:
    waiting = Circumstances(1000, 12, 2, waits_until=600)
    assert sentence(run([50, 60, 62, 58, 54, 50], FALLS), waiting) == (
        "mIoU 50.0 (-12.0 from its best at 300): falling; the unlabelled images join in after step 600"
    )


@pytest.mark.parametrize(
    ("labelled", "words"), [(None, "learns the masks by"), (1, "learns the one mask by"), (7, "learns the 7 masks by")]
)
def test_masks(labelled: int | None, words: str) -> None:
    assert words in sentence(run([50, 60, 62, 58, 54, 50], FALLS), Circumstances(1000, labelled, 2))


CURVES = (
    [99.9], [90.0, 99.9], [10.0, 30.0, 60.0, 99.9], [90.0, 99.9, 99.8, 99.7, 99.8],
    [90.0, 99.9, 99.8, 60.0, 30.0, 10.0], [30.0, 60.0, 90.0, 99.9, 99.0],
)  # fmt: skip


@pytest.mark.parametrize("curve", CURVES)
def test_it_is_one_short_line_and_the_verdict_is_always_in_it(curve: list[float]) -> None:
    losses = ([None] * len(curve), [1 / (i + 1) for i in range(len(curve))], [1.0] * len(curve))
    qualities = ({}, {"confident": 1.0, "confident_accuracy": 1.0, "accuracy": 1.0}, None)
    for loss, quality, last, waits, first in itertools.product(
        losses, qualities, (150_000, 149_000), (0, 149_999), (1, 9)
    ):
        each = [quality] * len(curve) if quality is not None else [{"accuracy": 1 / (i + 1)} for i in range(len(curve))]
        known = run(curve, loss, last, quality=each, first_loss=float(first), confident=0.0)
        found = sentence(known, Circumstances(150_000, 100_000, 100_000, waits, threshold=KEY))
        assert len(found) <= LONGEST and "\n" not in found and ": " in found
        assert len(f"{last}/150000: {found}") <= 160
        assert "unlabelled" not in found.split("; ")[0]


def test_nothing_is_said_that_was_not_measured() -> None:
    for curve in CURVES:
        found = sentence(run(curve), RUN)
        assert not any(word in found for word in ("teacher", "unlabelled", "right", "masks would", "loss"))
