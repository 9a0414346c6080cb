"""Runs of one cross-validation taken together."""

from pathlib import Path

import pytest

from semiseg import Config
from semiseg.report.facts import RunFacts, Score
from semiseg.report.folds import fold_table, folds

COUNTS = {0: [[90, 10], [0, 0]], 1: [[10, 0], [30, 60]]}  # fold 0 shows the first class alone


def run(fold: int | None, method: str = "fixmatch", counts: list[list[int]] | None = None, seed: int = 0) -> RunFacts:
    options = {} if fold is None else {"fold": fold}
    config = Config.parse(
        {"run_dir": f"runs/{method}{fold}", "method": {"name": method}, "training": {"seed": seed},
         "data": {"dataset": "folder", "options": options}}
    )  # fmt: skip
    values = {"miou": 0.5, "confusion": counts or COUNTS[fold or 0], "images": 2, "classes": ["a", "b"]}
    return RunFacts(method, Path(method), config, classes=("a", "b"), labelled=[f"not{fold}"],
                    scores={"last": Score(10, values)})  # fmt: skip


def test_counts_are_added_not_means_taken() -> None:
    table = fold_table([run(1), run(0)])
    assert table is not None
    # a: 100 right, 10 missed, 30 too many; b: 60 right, 30 missed, 10 too many
    miou = 50 * (100 / 140 + 60 / 100)
    assert table.rows == [["fixmatch", "0, 1", 4, f"{miou:.2f}", None, None]]


def test_a_gain_is_over_supervised_in_the_same_folds() -> None:
    worse = [run(0, "supervised", [[60, 40], [0, 0]]), run(1, "supervised")]
    table = fold_table([run(0), *worse, run(1)])
    assert table is not None
    by_method = {row[0]: row for row in table.rows}
    base = 50 * (70 / 140 + 60 / 130)
    assert by_method["supervised"][-1] is None
    assert float(str(by_method["fixmatch"][-1])) == pytest.approx(50 * (100 / 140 + 60 / 100) - base, abs=0.01)
    worse[0].labelled = ["another"]
    table = fold_table([run(0), *worse, run(1)])
    assert table is not None and all(row[-1] is None for row in table.rows)


@pytest.mark.parametrize(
    "runs",
    [
        [run(None), run(None, "supervised")],  # no folds
        [run(0)],  # one
        [run(0), run(0), run(1)],  # one of them twice
        [run(0), run(1, seed=1)],  # they differ in more than the fold
        [run(0), run(1, "supervised")],
    ],
    ids=["none", "one", "twice", "seeds", "methods"],
)
def test_what_is_no_cross_validation(runs: list[RunFacts]) -> None:
    assert folds(runs) == [] and fold_table(runs) is None


def test_a_fold_without_a_validation_yet_leaves_the_table_out() -> None:
    unfinished = run(1)
    unfinished.scores = {}
    assert folds([run(0), unfinished]) and fold_table([run(0), unfinished]) is None
