"""Runs with ``method.stages`` in the comparison of methods: crops, seconds and the step that is timed."""

from pathlib import Path

import gain
import pytest
from comparison_rows import gain_row
from test_benchmarks import TINY

from semiseg.experiments.comparison import step_ratio, table


def test_supervised_steps_of_a_first_stage_count_as_what_they_are() -> None:
    time = {"data": "streets", "method": "bank", "labelled": None, "split_seed": None, "equal": "step_time",
            "crops_a_step": 12, "ratio": 3.0}  # fmt: skip
    assert table.supervised_steps(time, 100) == 300 and table.supervised_steps(time, 100, 40) == 220
    assert table.supervised_steps(time | {"rounded_up_to": 100}, 100, 40) == 300
    stage = {"first_stage": 40, "crops_a_step": 12, "crops": 40 * 4 + 60 * 12}
    slow = [[110.0, 50, 50.0], [220.0, 100, 57.0]]  # 40 steps of a second, 60 of three
    rows = [
        gain_row("bank", "steps", 0, 57.0, **stage, curve=slow), gain_row("bank", "steps", 0, 54.0), time,
        gain_row("supervised", "steps", 0, 50.0), gain_row("supervised", "crops", 0, 52.0),
        gain_row("supervised", "seconds", 0, 53.0, iterations=220),
        gain_row("supervised", "seconds", 0, 51.0, iterations=300),
    ]  # fmt: skip
    lines = table.report(rows).splitlines()
    named = "bank, 40 supervised steps first"
    assert [line[: line.index("(") - 1] for line in lines if "| 1 |" in line] == [
        f"| {named} | steps | 1 | 50.0 | 57.0 | +7.0", f"| {named} | crops | 1 | 52.0 | 57.0 | +5.0",
        f"| {named} | seconds | 1 | 53.0 | 57.0 | +4.0", "| bank | steps | 1 | 50.0 | 54.0 | +4.0",
        "| bank | crops | 1 | 52.0 | 54.0 | +2.0", "| bank | seconds | 1 | 51.0 | 54.0 | +3.0",
    ]  # fmt: skip
    assert (
        f"A step of {named} takes 3.00 times as long as a supervised one, measured alone; in the runs 3.00" in lines[-2]
    )


def test_a_run_in_stages_is_a_row_of_its_own_and_the_methods_step_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[dict[str, object]] = []
    monkeypatch.setattr(
        "semiseg.experiments.comparison.runs.run_once", lambda results, key, *words, **more: keys.append(key)
    )
    data = gain.Data("toy_streets", 10, ("3",), TINY)
    runs = gain.Comparison("toy_streets", data, tmp_path / "gain.json", tmp_path, None, None, stages=0.4)
    assert "method.stages=0.4" in runs.command(runs.words("memory_bank", "3", 1, 10))
    assert "stages" not in runs.command(runs.words("supervised", "3", 1, 10))
    runs.run("steps", "memory_bank", "3", 1, 10, None)
    assert keys[0]["first_stage"] == 4 and keys[0]["crops_a_step"] == 6 and keys[0]["crops"] == 4 * 2 + 6 * 6
    assert not runs.has_rounds("memory_bank", "3")
    monkeypatch.setattr(runs, "step_time", lambda *_: {"ratio": 3.0})
    runs.run_equal_seconds("memory_bank", "3", 1)
    assert keys[1]["iterations"] == 4 + 6 * 3 and "first_stage" not in keys[1]

    step = step_ratio.TrainingStep(runs.config("memory_bank", "3", 1), tmp_path / "run")
    seen: list[tuple[int, bool]] = []
    losses = step.stepper.method.losses
    monkeypatch.setattr(
        step.stepper.method, "losses",
        lambda now: seen.append((now.iteration, now.unlabelled is not None)) or losses(now),
    )  # fmt: skip
    step()
    assert seen == [(5, True)], "the last of the method's six steps"
