"""What a validation tells the user."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from conftest import tiny

from semiseg.training import validating
from semiseg.training.loop import Run


@pytest.mark.parametrize(("behind", "times"), [(0.04, 1), (0.02, 0)])
def test_a_teacher_far_behind_its_student_is_told_and_a_close_one_is_not(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    behind: float, times: int,
) -> None:  # fmt: skip
    run = Run(tiny(folder, tmp_path / "run"))
    real = validating.validate

    def validate(network: Any, *words: Any) -> Any:
        return dataclasses.replace(real(network, *words), miou=0.5 - behind * (network is run.method.teacher))

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
