"""Wherever a training stops, it goes on to the same bits, lines and best weights."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny, write_picture

import semiseg
from semiseg import Config
from semiseg.errors import SemisegError, UsageError
from semiseg.runs import checkpoint
from semiseg.runs.kept import Kept
from semiseg.runs.metrics import read_metrics
from semiseg.runtime.signals import Stopped
from semiseg.training import loop, saving, validating
from semiseg.training.lock import NAME
from semiseg.training.step import Stepper
from semiseg.training.validating import Validator

TIMED = ("images_per_second", "data_wait", "seconds")


def config(photos: Path, run_dir: Path, **changes: Any) -> Config:
    usual = {
        "method__name": "mean_teacher", "network__architecture": "deeplabv2",
        "training__iterations": 8,
        "training__log_every": 3, "training__validate_every": 4, "training__checkpoint_every": 8,
        "training__batch_norm_refresh": 1, "training__plateau_patience": 1,
    }  # fmt: skip
    return tiny(photos, run_dir, **usual | changes)


def outcome(run_dir: Path) -> dict[str, Any]:
    last, best = (checkpoint.load(run_dir / "checkpoints" / f"{name}.pt") for name in ("last", "best"))
    evaluation = json.loads((run_dir / "evaluation.json").read_text())
    return {
        "last": {key: last[key] for key in ("iteration", "method", "optimisers", "best", "losses", "pending")},
        "best": {key: best[key] for key in ("iteration", "method")},
        "lines": [{k: v for k, v in row.items() if k not in TIMED} for row in read_metrics(run_dir)],
        "evaluation": {key: value for key, value in evaluation.items() if key not in ("seconds", "peak_memory")},
    }


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two nested values are not equal, bit for bit."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [found for key in one for found in differences(one[key], other[key], f"{where}/{key}")]
    if isinstance(one, (list, tuple)) and len(one) == len(other):
        pairs = zip(one, other, strict=True)
        return [found for i, pair in enumerate(pairs) for found in differences(*pair, f"{where}/{i}")]
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [where]
    return [] if one == other or (one != one and other != other) else [f"{where}: {one}, {other}"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("saving") / "photos"
    for i in range(8):
        write_picture(root, f"photo{i:02d}", i, mask=i < 5)
    return root


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of a run that nothing disturbed."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    semiseg.train(config(photos, run_dir), progress=False)
    return outcome(run_dir)


def fails_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, call: int, after: bool = False) -> None:
    """The ``call``-th call is the end of the process: before, or after it did its work."""
    real: Callable[..., Any] = getattr(owner, name)
    calls: list[None] = []

    def function(*words: Any, **options: Any) -> Any:
        calls.append(None)
        result = real(*words, **options) if after or len(calls) != call else None
        if len(calls) == call:
            raise RuntimeError("power cut")
        return result

    monkeypatch.setattr(owner, name, function)


@pytest.mark.parametrize(
    ("owner", "name", "call", "after", "reached"),
    [
        (Kept, "save_last", 1, True, 4),  # between the save and its validation
        (saving, "save_best", 1, True, 4),  # in the validation: the best is saved, its last.pt is of before it
        (Validator, "validate", 1, True, 4),  # all lines are written
        (Stepper, "__call__", 7, False, 4),  # between a line of the log and the next save
        (Kept, "save_last", 2, False, 4),  # the line of step 8 is written, and nothing else of it
        (saving, "refresh_batch_norm", 1, False, 8),
        (validating, "validate", 2, False, 8),
    ],
)
def test_stopped_at_every_place_and_resumed_is_bit_equal(
    owner: Any, name: str, call: int, after: bool, reached: int, photos: Path, whole: dict[str, Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    given = config(photos, tmp_path / "run")
    with monkeypatch.context() as patch:
        fails_at(patch, owner, name, call, after)
        with pytest.raises(RuntimeError, match="power cut"):
            semiseg.train(given, progress=False)
    assert checkpoint.load(tmp_path / "run" / "checkpoints" / "last.pt")["iteration"] == reached
    semiseg.train(given, resume=True, progress=False)
    assert differences(outcome(tmp_path / "run"), whole) == []


def signalled(monkeypatch: pytest.MonkeyPatch, number: int, step: int) -> None:
    """Send this process a signal in the midst of a step."""
    real = Stepper.__call__

    def takes_a_step(self: Stepper, next_batches: Any, iteration: int, now: Any) -> Any:
        losses = real(self, next_batches, iteration, now)
        if iteration == step - 1:
            os.kill(os.getpid(), number)
        return losses

    monkeypatch.setattr(Stepper, "__call__", takes_a_step)


@pytest.mark.parametrize("step", [4, 5])
def test_a_signal_saves_the_step_says_so_and_changes_nothing(
    step: int, photos: Path, whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, last = config(photos, tmp_path / "run"), tmp_path / "run" / "checkpoints" / "last.pt"
    with monkeypatch.context() as patch:
        signalled(patch, signal.SIGTERM, step)
        with pytest.raises(Stopped, match=rf"SIGTERM after step {step} of 8; all of it is saved in {last}"):
            semiseg.train(given, progress=False)
    assert checkpoint.load(last)["iteration"] == step
    assert not (tmp_path / "run" / NAME).exists()
    semiseg.train(given, resume=True, progress=False)
    assert differences(outcome(tmp_path / "run"), whole) == []


def test_a_signal_before_the_first_step_or_in_a_validation_is_obeyed_at_once(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = config(photos, tmp_path / "run")
    ask = lambda *words: os.kill(os.getpid(), signal.SIGUSR1)  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(loop, "check_run_data", ask)
        with pytest.raises(Stopped, match="SIGUSR1 before training began"):
            semiseg.train(given, progress=False)
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(validating, "validate", lambda *words, **more: ask() or pytest.fail("it went on"))
    with pytest.raises(Stopped, match="after step 4 of 8; all of it is saved"):
        semiseg.train(given, progress=False)


def test_saving_by_time_changes_no_number(photos: Path, whole: dict[str, Any], tmp_path: Path) -> None:
    semiseg.train(config(photos, tmp_path / "run", training__save_minutes=1e-9), progress=False)
    assert checkpoint.load(tmp_path / "run" / "checkpoints" / "previous.pt")["iteration"] == 8  # before the refresh
    assert differences(outcome(tmp_path / "run"), whole) == []


def test_by_time_every_step_is_saved_and_without_none_is(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minutes, steps in ((1e-9, [1, 2, 3]), ("null", [])):
        saved: list[int] = []
        monkeypatch.setattr(Kept, "save_last", lambda self, state, to=saved: to.append(state["iteration"]))
        monkeypatch.setattr(validating, "validate", lambda *words, **more: pytest.fail("stop here"))
        with pytest.raises(pytest.fail.Exception):
            semiseg.train(config(photos, tmp_path / str(minutes), training__save_minutes=minutes), progress=False)
        assert saved == [*steps, 4]


def test_a_damaged_checkpoint_is_told_and_the_one_before_it_ends_alike(
    photos: Path, whole: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, last = config(photos, tmp_path / "run"), tmp_path / "run" / "checkpoints" / "last.pt"
    semiseg.train(given, progress=False)
    last.write_bytes(b"")
    semiseg.train(given, resume=True, progress=False)
    assert f"{last} is damaged" in capsys.readouterr().err
    assert differences(outcome(tmp_path / "run"), whole) == []


def test_resume_without_a_checkpoint_is_an_error_and_auto_starts(photos: Path, tmp_path: Path) -> None:
    given = config(photos, tmp_path / "run", method__name="supervised", training__iterations=1)
    with pytest.raises(UsageError, match=r"--resume: .*run holds no checkpoint.*leave --resume out"):
        semiseg.train(given, resume=True, progress=False)
    (tmp_path / "run").mkdir()
    given.save(tmp_path / "run" / "config.yaml")
    for resume in (True, False):
        with pytest.raises(UsageError, match="--auto-resume"):
            semiseg.train(given, resume=resume, progress=False)
    semiseg.train(given, resume="auto", progress=False)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "mine.txt").touch()
    with pytest.raises(UsageError, match="not empty"):
        semiseg.train(config(photos, tmp_path / "thesis"), resume="auto", progress=False)


def test_two_processes_never_train_into_one_folder(photos: Path, tmp_path: Path) -> None:
    given = config(photos, tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / NAME).write_text(json.dumps({"host": "node17", "pid": 3, "started": None}))
    with pytest.raises(UsageError, match="process 3 of machine node17 trains in"):
        semiseg.train(given, progress=False)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [NAME]


def test_a_log_that_cannot_be_written_is_one_line(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.MetricsLog.__init__

    def opened(self: Any, *words: Any) -> None:
        real(self, *words)
        self.file = open("/dev/full", "w", encoding="utf-8", buffering=1)  # noqa: SIM115

    monkeypatch.setattr(loop.MetricsLog, "__init__", opened)
    with pytest.raises(SemisegError, match=r"metrics\.jsonl could not be written \(No space left on device\)"):
        semiseg.train(config(photos, tmp_path / "run"), progress=False)
