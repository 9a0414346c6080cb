"""The table of a comparison, by hand."""

import math
import statistics

import pytest
from comparison_rows import gain_row

from semiseg.experiments.comparison import table


def test_gains_are_taken_split_by_split_and_a_small_one_is_a_tie() -> None:
    time = {"data": "streets", "method": "bank", "labelled": None, "split_seed": None, "equal": "step_time",
            "crops_a_step": 12, "ratio": 3.0}  # fmt: skip
    longer = {"iterations": 300, "crops": 1200, "curve": [[80.0, 240, 48.0], [100.0, 300, 50.0]]}
    rows = [
        gain_row("bank", "steps", 1, 58.0), gain_row("bank", "steps", 0, 54.0), gain_row("bank", "steps", 2, 70.0),
        gain_row("supervised", "steps", 0, 50.0), gain_row("supervised", "steps", 1, 51.0),
        gain_row("supervised", "crops", 1, 57.5), gain_row("supervised", "crops", 0, 52.9), time,
        gain_row("supervised", "seconds", 0, 50.0, **longer), gain_row("supervised", "seconds", 0, 0.0, iterations=200),
        gain_row("supervised", "crops", 0, 62.9, labelled="all"),
    ]  # fmt: skip
    lines = table.report(rows).splitlines()
    assert lines[0] == (
        "streets, 12 masks, 100 steps: at equal steps `supervised` has converged (+0.4 points over its last fifth); "
        "at equal crops (12 a step) `supervised` has converged (+0.4 points over its last fifth); "
        "at equal seconds (300 steps) `supervised` is still rising (+2.0 points over its last fifth)."
    )
    assert lines[4:] == [
        "| bank | steps | 2 | 50.5 ± 0.7 | 56.0 ± 2.8 | +5.5 (+4.0 · +7.0) | -13.6 to +24.6 | +5.5 (+4.0 · +7.0) | "
        "+3.0 (+1.5 · +4.5) |",
        "| bank | crops | 2 | 55.2 ± 3.3 | 56.0 ± 2.8 | tie, +0.8 (+1.1 · +0.5) | -3.0 to +4.6 | "
        "tie, +0.8 (+1.1 · +0.5) | -1.7 (-1.4 · -2.0) |",
        "| bank | seconds | 1 | 50.0 | 54.0 | +4.0 (+4.0) | – | +4.0 (+4.0) | +1.5 (+1.5) |",
        "| supervised, all masks | crops | 1 | 52.9 | 62.9 | +10.0 (+10.0) | – | +10.0 (+10.0) | +10.0 (+10.0) |",
        "",
        "A step of bank takes 3.00 times as long as a supervised one, measured alone; in the runs 1.00 times.",
    ]
    assert table.report([]) == "no runs yet"
    assert table.gain([0.96]) == "+1.0 (+1.0)" and table.gain([-0.9, 0.1]).startswith("tie, -0.4")


def test_a_rise_is_from_the_validation_nearest_to_four_fifths() -> None:
    assert table.last_fifth([[1, 193, 9.0], [8, 1544, 40.0], [9, 1737, 41.0], [10, 1927, 43.0]]) == 3.0
    assert table.last_fifth([[10, 100, 43.0]]) is None


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (0.5, "is still rising"),
        (0.4, "has converged"),
        (-0.4, "has converged"),
        (-0.5, "is falling"),
        (-9, "is falling"),
    ],
)
def test_a_fall_is_no_convergence(change: float, word: str) -> None:
    rows = [{"curve": [[1, 80, 50.0], [2, 100, 50.0 + change]]}]
    told = table.convergence({("steps", 100, 0): rows})
    assert told == f"at equal steps `supervised` {word} ({change:+.1f} points over its last fifth)"


def test_blocks_say_what_the_table_says_in_80_columns() -> None:
    cells = [
        "bank",
        "crops",
        "3",
        "55.2 ± 3.3",
        "56.0 ± 2.8",
        "tie, +0.8 (+1.1 · +0.5 · +0.8)",
        "-3.0 to +4.6",
        "–",
        "–",
    ]
    told = table.Section("streets: converged.", [cells, cells], ["A remark."]).as_blocks()
    assert max(map(len, told.splitlines())) <= 80
    assert told.startswith("streets: converged.\n\nbank, equal crops, 3 runs:\n  supervised, last  55.2 ± 3.3\n")
    assert "\n  gain, last        tie, +0.8 (+1.1 · +0.5 · +0.8)\n" in told and told.endswith("\n\nA remark.")


def test_the_interval_is_students() -> None:
    """Three splits: t of two degrees of freedom is 4.303 at 97.5 %."""
    values = [15.7, 15.8, 1.1]
    reach = 4.303 * statistics.stdev(values) / math.sqrt(3)
    assert table.confidence(values) == pytest.approx((10.8667 - reach, 10.8667 + reach), abs=1e-3)
    assert table.interval(values) == "-10.1 to +31.9" and table.interval([1.0]) == "–"
    many = [0.0, 2.0] * 50
    assert table.confidence(many) == pytest.approx((1 - 0.1994, 1 + 0.1994), abs=1e-3)  # 1.984 of 99
    assert table.confidence([0.0, 2.0] * 9) == pytest.approx((1 - 0.512, 1 + 0.512), abs=5e-3)  # t of 17 is 2.110


def test_all_masks_are_the_bound_of_fewer_and_not_of_themselves() -> None:
    own = [gain_row(method, equal, 0, 50.0, labelled="all") for method, equal in
           (("bank", "steps"), ("supervised", "steps"), ("supervised", "crops"))]  # fmt: skip
    assert "supervised, all masks" not in table.report(own)


def test_the_bound_is_shown_where_nothing_was_run_at_equal_crops() -> None:
    rows = [gain_row("bank", "steps", 0, 54.0), gain_row("supervised", "steps", 0, 50.0),
            gain_row("supervised", "crops", 0, 62.9, labelled="all")]  # fmt: skip
    assert table.report(rows).splitlines()[5].startswith("| supervised, all masks | – | 1 | 50.0 | 62.9 | +12.9 ")
