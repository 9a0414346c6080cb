"""The README's table of gains is what the committed results give, to the last digit."""

import json
from pathlib import Path
from typing import Any

import pytest

from semiseg.experiments.comparison.table import Row, gain, of, supervised_steps
from semiseg.experiments.results import read_results

ROOT = Path(__file__).resolve().parents[1]
SECTION = (ROOT / "README.md").read_text(encoding="utf-8").partition("## What the unlabelled images buy")[2]
ROWS = read_results(ROOT / "benchmarks" / "results" / "gain.json")
SHOWN = {"cell nuclei": ("nuclei", 500), "rendered toy streets": ("toy_streets", 1920)}


def line(data: str, steps: int, method: str, equal: str, crops: int | None) -> list[str]:
    """Cells of the table from the rows of the file: supervised, method, gain, of the best, of the teacher."""
    some = [row for row in ROWS if row["data"] == data and row["labelled"] == 12]
    time = next(r for r in ROWS if (r["data"], r["method"], r["equal"]) == (data, method, "step_time"))
    of_method = {r["split_seed"]: r for r in some if r["method"] == method and r["iterations"] == steps}
    iterations = supervised_steps(time, steps) if equal == "seconds" else steps
    kind = of([r for r in some if r["method"] == "supervised"], equal, iterations, (crops or 0) * steps)
    beside = {row["split_seed"]: row for row in kind}
    splits = sorted(of_method.keys() & beside.keys())
    assert splits == [1, 2, 3], (data, method, equal)

    def mean(rows: dict[int, Row], column: str) -> str:
        return f"{sum(rows[split][column] for split in splits) / 3:.1f}"

    def difference(column: str) -> str:
        return gain(of_method[split][column] - beside[split][column] for split in splits)

    def alone(column: str) -> str:
        return difference(column).partition(" (")[0]

    return [mean(beside, "miou_last"), mean(of_method, "miou_last"), difference("miou_last"), alone("miou_best"),
            alone("teacher_last")]  # fmt: skip


def table() -> list[tuple[str, str, str, list[str]]]:
    """Data set, method, kind of equality and figures of every row."""
    found: list[tuple[str, str, str, list[str]]] = []
    data = method = ""
    for text in SECTION.splitlines():
        cells = [cell.strip() for cell in text.strip("|").split("|")]
        if not text.startswith("| ") or cells[0].startswith("12 masks"):
            continue
        data, method = cells[0] or data, cells[1].strip("`") or method
        found.append((data, method, cells[2], cells[3:]))
    return found


@pytest.mark.parametrize(("data", "method", "equal", "figures"), table(), ids=lambda value: str(value)[:20])
def test_a_row_is_what_the_results_give(data: str, method: str, equal: str, figures: list[str]) -> None:
    name, steps = next(value for start, value in SHOWN.items() if data.startswith(start))
    kind, _, more = equal.partition(", ")
    assert line(name, steps, method, kind, int(more.split()[0]) if more else None) == figures


def test_no_comparison_that_is_done_is_left_out() -> None:
    """Of a method with three splits and three supervised runs beside each, on each kind of equality."""
    shown = {(SHOWN[start], method, equal.partition(",")[0]) for data, method, equal, _ in table() for start in SHOWN
             if data.startswith(start)}  # fmt: skip
    for data, steps in SHOWN.values():
        for method in ("fixmatch", "memory_bank"):
            done = [kind for kind in ("steps", "seconds") if _is_done(data, steps, method, kind)]
            if "seconds" in done:  # a comparison without equal seconds is not shown at all
                assert {((data, steps), method, kind) for kind in ("steps", "crops", "seconds")} <= shown


def _is_done(data: str, steps: int, method: str, kind: str) -> bool:
    try:
        line(data, steps, method, kind, None)
    except (AssertionError, StopIteration):
        return False
    return True


def test_rows_name_how_they_were_made() -> None:
    runs: list[dict[str, Any]] = [row for row in ROWS if row["equal"] != "step_time"]
    assert all(row["command"] and row["date"] and row["machine"] and row["versions"] for row in ROWS)
    assert all(row["curve"] and row["curve"][-1][1] == row["iterations"] for row in runs)
    json.dumps(ROWS, allow_nan=False)
