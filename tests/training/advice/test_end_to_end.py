"""A training says where it stands at each validation, and at its end what comes next."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import call
from conftest import tiny

from semiseg.methods.base import Round
from semiseg.runs.metrics import read_metrics
from semiseg.training.loop import train
from semiseg.training.step import Stepper


def sentences(run_dir: Path) -> list[str]:
    return [row["sentence"] for row in read_metrics(run_dir) if row["kind"] == "validation"]


def test_the_command_speaks_and_its_commands_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path("runs") / "a run"
    config = tiny(folder, run, training__validate_every=2, data__labelled=2)
    Path("own.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8")
    code, out, err = call("train", "own.yaml")
    assert code == 0, err
    written = sentences(run)
    assert len(written) == 2 and all(words.startswith("mIoU ") and len(words) <= 145 for words in written)
    assert [line for line in err.splitlines() if line.startswith(("2/4: mIoU", "4/4: mIoU"))] == [
        f"2/4: {written[0]}",
        f"4/4: {written[1]}",
    ]
    assert "with 1 validation image, changes of this network below about" in written[0]
    assert "the teacher is sure of" in written[1]  # two masks are hidden, so that it was measured

    said = out.splitlines()
    assert said[0].startswith("mIoU of the student: last ") and said[1].startswith("IoU in %") and "the worst" in out
    commands = [shlex.split(line) for line in said[said.index("Next:") + 1 :]]
    assert [words[1] for words in commands] == ["predict", "report", "suggest", "train"]
    for words in commands:
        code, _, err = call(*words[1:])
        assert code == 0, err
    assert len(list(Path("predictions/a run/masks").iterdir())) == 12


def test_quiet_prints_nothing_and_writes_the_sentence_all_the_same(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tiny(folder, tmp_path / "run", method__name="supervised"), progress=False)
    (words,) = sentences(tmp_path / "run")
    assert words not in capsys.readouterr().err and "teacher" not in words and "unlabelled" not in words


def test_a_resumed_run_remembers_what_came_before(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(folder, tmp_path / "run", method__name="supervised", training__validate_every=1)
    step = Stepper.__call__

    def breaks(self: Stepper, following: Any, iteration: int, now: Round) -> Any:
        if iteration == 2:
            raise KeyboardInterrupt
        return step(self, following, iteration, now)

    with monkeypatch.context() as patched:
        patched.setattr(Stepper, "__call__", breaks)
        with pytest.raises(KeyboardInterrupt):
            train(config, progress=False)
    train(config, resume=True, progress=False)
    first, second, third, last = sentences(tmp_path / "run")
    assert "validation image" in first and "too early" in second
    assert not any(word in words for words in (third, last) for word in ("validation image", "too early"))


def test_the_sentence_is_no_number_for_a_logger(folder: Path, tmp_path: Path) -> None:
    train(tiny(folder, tmp_path / "run", method__name="supervised", training__tensorboard=True), progress=False)
    row = [row for row in read_metrics(tmp_path / "run") if row["kind"] == "validation"][-1]
    assert isinstance(row["sentence"], str) and json.loads((tmp_path / "run" / "evaluation.json").read_text())
