"""What a validation tells the user."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import tiny

from semiseg.runs.metrics import read_metrics
from semiseg.training import validating
from semiseg.training.loop import Run


@pytest.mark.parametrize(("behind", "times"), [(0.04, 1), (0.02, 0)])
def test_a_teacher_far_behind_its_student_is_told_and_a_close_one_is_not(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    behind: float, times: int,
) -> None:  # fmt: skip
    run = Run(tiny(folder, tmp_path / "run"))
    real = validating.validate

    def validate(network: Any, *words: Any, **more: Any) -> Any:
        return dataclasses.replace(real(network, *words, **more), miou=0.5 - behind * (network is run.method.teacher))

    monkeypatch.setattr(validating, "validate", validate)
    run.train(progress=False)
    assert capsys.readouterr().err.count("method.teacher.half_life=0.02") == times


def test_a_remark_is_made_once_whatever_its_figures(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(tiny(folder, tmp_path / "run", training__validate_every=1))
    shares = iter("1234")
    monkeypatch.setattr(run.method, "remarks", lambda measures: [f"the bank holds {next(shares)} vectors"])
    run.train(progress=False)
    assert capsys.readouterr().err.count("semiseg: the bank holds") == 1


@pytest.mark.parametrize(("method", "each"), [("fixmatch", True), ("fixmatch", False), ("supervised", True)])
def test_the_teacher_is_validated_each_time_where_asked(folder: Path, tmp_path: Path, method: str, each: bool) -> None:
    changes = {"method__name": method, "training__validate_every": 1, "training__validate_teacher": each}
    result = Run(tiny(folder, tmp_path / "run", **changes)).train(progress=False)
    rows = [row for row in read_metrics(result.run_dir) if row["kind"] == "validation"]
    measured = [row["teacher_miou"] for row in rows if "teacher_miou" in row]
    assert len(measured) == (len(rows) if each and method == "fixmatch" else 0)
    if measured:
        summary = json.loads((tmp_path / "run" / "evaluation.json").read_text())
        assert measured[-1] == pytest.approx(100 * summary["last_teacher"]["miou"])
