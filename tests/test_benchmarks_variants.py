"""Variants of a method (``gain.py --words``) in the comparison: rows of their own beside the same supervised runs."""

from pathlib import Path

import gain
import pytest
from comparison_rows import gain_row
from test_benchmarks import TINY

from semiseg.experiments.comparison import table

OFF = "method.memory_bank.weights.contrastive=0"


def test_only_the_method_gets_the_words_and_its_rows_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[dict[str, object]] = []
    monkeypatch.setattr(
        "semiseg.experiments.comparison.runs.run_once", lambda results, key, *words, **more: keys.append(key)
    )
    data = gain.Data("toy_streets", 10, ("3",), TINY)
    plain, off = (
        gain.Comparison("toy_streets", data, tmp_path / "gain.json", tmp_path, None, None, extra=extra)
        for extra in ((), (OFF,))
    )
    assert OFF in off.command(off.words("memory_bank", "3", 1, 10))
    assert off.words("supervised", "3", 1, 10) == plain.words("supervised", "3", 1, 10)
    assert off.config("memory_bank", "3", 1).method.memory_bank.weights.contrastive == 0  # type: ignore[attr-defined]
    for runs in (plain, off):
        runs.run("steps", "memory_bank", "3", 1, 10, None)
        runs.run("steps", "supervised", "3", 1, 10, None)
    assert keys[0]["words"] is None and keys[2]["words"] == OFF and keys[0] | {"words": OFF} == keys[2]
    assert keys[1] == keys[3] and "words" not in keys[1]
    assert plain.state("memory_bank") != off.state("memory_bank")
    assert off.typed_words() == ["--words", OFF]


def test_a_variant_is_a_line_of_its_own_with_its_own_step_time() -> None:
    time = {"data": "streets", "method": "bank", "labelled": None, "split_seed": None, "equal": "step_time",
            "crops_a_step": 12, "ratio": 3.0}  # fmt: skip
    rows = [
        gain_row("bank", "steps", 0, 57.0), gain_row("bank", "steps", 0, 54.0, words="a.b=0"),
        time, time | {"ratio": 2.0, "words": "a.b=0"},
        gain_row("supervised", "steps", 0, 50.0),
        gain_row("supervised", "seconds", 0, 53.0, iterations=300),
        gain_row("supervised", "seconds", 0, 51.0, iterations=200),
    ]  # fmt: skip
    lines = [line[: line.index("(") - 1] for line in table.report(rows).splitlines() if "| 1 |" in line]
    assert lines == [
        "| bank | steps | 1 | 50.0 | 57.0 | +7.0", "| bank | seconds | 1 | 53.0 | 57.0 | +4.0",
        "| bank a.b=0 | steps | 1 | 50.0 | 54.0 | +4.0", "| bank a.b=0 | seconds | 1 | 51.0 | 54.0 | +3.0",
    ]  # fmt: skip
