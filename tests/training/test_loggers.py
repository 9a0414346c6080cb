"""Loggers: what they are told, that a resumed run goes on in the same place, and that they change nothing."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import tiny

from semiseg import train
from semiseg.errors import SemisegError
from semiseg.methods import Step
from semiseg.training import loggers
from semiseg.training.loop import Run


class FakeWandb:
    """``init``, ``Image`` and a run's ``log`` and ``finish``."""

    def __init__(self) -> None:
        self.inits: list[dict[str, Any]] = []
        self.rows: list[tuple[int, dict[str, Any]]] = []
        self.finished = 0

    def init(self, **given: Any) -> "FakeWandb":
        self.inits.append(given)
        self.id = given["id"] or "run-7"
        return self

    def log(self, values: dict[str, Any], step: int) -> None:
        self.rows.append((step, values))

    def Image(self, picture: np.ndarray) -> tuple[str, tuple[int, ...]]:
        return "image", picture.shape

    def finish(self) -> None:
        self.finished += 1


class FakeMlflow:
    """The module-level functions of MLflow."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def start_run(self, run_id: str | None, run_name: str | None) -> Any:
        self.calls.append(("start_run", (run_id, run_name)))
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id or "abc"))

    def log_image(self, picture: np.ndarray, artifact_file: str) -> None:
        self.calls.append(("log_image", (picture.shape, artifact_file)))

    def __getattr__(self, name: str) -> Any:
        return lambda *words, **named: self.calls.append((name, (*words, named)))


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    found = {"wandb": FakeWandb(), "mlflow": FakeMlflow()}
    monkeypatch.setattr(loggers, "require", lambda module, extra, user: found[module])
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return found


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / "last.pt", weights_only=True)["method"]


def test_both_services_get_figures_and_pictures_and_change_nothing(
    folder: Path, tmp_path: Path, fakes: dict[str, Any]
) -> None:
    train(tiny(folder, tmp_path / "plain"), progress=False)
    config = tiny(folder, tmp_path / "told", training__loggers="[wandb, mlflow]", training__validate_every=2)
    train(config, progress=False)
    plain, told = weights(tmp_path / "plain"), weights(tmp_path / "told")
    assert all(torch.equal(value, told[key]) for key, value in plain.items())

    wandb, mlflow = fakes["wandb"], fakes["mlflow"]
    assert wandb.inits[0]["project"] == "semiseg" and wandb.inits[0]["name"] == "told" and wandb.finished == 1
    assert wandb.inits[0]["config"]["method"]["name"] == "memory_bank"
    assert {step for step, row in wandb.rows if "train/loss" in row} == {1, 2, 3, 4}
    assert {step for step, row in wandb.rows if "validation/miou" in row} == {2, 4}
    shown = [row for _, row in wandb.rows if any(isinstance(value, tuple) for value in row.values())]
    assert [list(row.values()) for row in shown] == 2 * [[("image", (64, 192, 3))]]
    names = [name for name, _ in mlflow.calls]
    assert names[:3] == ["set_experiment", "start_run", "log_params"] and names[-1] == "end_run"
    (parameters, _) = mlflow.calls[2][1]
    assert parameters["training.batch_size"] == 2 and parameters["method.memory_bank.contrastive.dim"] == 16
    pictures = [value for name, value in mlflow.calls if name == "log_image"]
    assert len(pictures) == 2 and pictures[1][1].endswith("-000004.png")


def test_a_resumed_run_goes_on_under_the_same_name(folder: Path, tmp_path: Path, fakes: dict[str, Any]) -> None:
    words = {"training__loggers": "[wandb, mlflow]"}
    train(tiny(folder, tmp_path / "run", **words), progress=False)
    assert json.loads((tmp_path / "run" / "loggers.json").read_text()) == {"wandb": "run-7", "mlflow": "abc"}
    fakes["mlflow"].calls.clear()
    train(tiny(folder, tmp_path / "run", **words), resume=True, progress=False)
    assert [given["id"] for given in fakes["wandb"].inits] == [None, "run-7"]
    assert ("start_run", ("abc", None)) in fakes["mlflow"].calls
    assert "log_params" not in [name for name, _ in fakes["mlflow"].calls]


def test_a_missing_library_is_named_with_its_extra(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(SemisegError, match=r"training\.loggers=\[wandb\] needs wandb.*semiseg\[wandb\]"):
        train(tiny(folder, tmp_path / "run", training__loggers="[wandb]"), progress=False)


def test_tensorboard_holds_figures_and_pictures(folder: Path, tmp_path: Path) -> None:
    train(tiny(folder, tmp_path / "run", training__tensorboard="true"), progress=False)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert "validation/miou" in events.Tags()["scalars"] and len(events.Scalars("train/loss")) == 4
    (name,) = events.Tags()["images"]
    assert name.startswith("validation/photo") and events.Images(name)[0].width == 3 * 64


def test_mlflow_itself(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlflow").as_uri())  # mlflow-skinny has no database
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    train(tiny(folder, tmp_path / "run", training__loggers="[mlflow]"), progress=False)
    run = mlflow.get_run(json.loads((tmp_path / "run" / "loggers.json").read_text())["mlflow"])
    assert "validation/miou" in run.data.metrics


def test_wandb_itself(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    train(tiny(folder, tmp_path / "run", training__loggers="[wandb]"), progress=False)
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))


def test_tensorboard_keeps_the_figures_of_the_step_that_a_run_goes_on_from(folder: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    changes = {"training__tensorboard": "true", "training__validate_every": 2}
    run = Run(tiny(folder, tmp_path / "run", **changes))
    losses = run.method.losses

    def fails(step: Step) -> Any:
        if step.iteration == 3:
            raise RuntimeError("power cut")
        return losses(step)

    run.method.losses = fails  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="power cut"):
        run.train(progress=False)
    train(tiny(folder, tmp_path / "run", **changes), resume=True, progress=False)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("validation/miou")] == [2, 4]
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4]


def test_a_service_that_cannot_be_reached_is_one_line(
    folder: Path, tmp_path: Path, fakes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(**given: Any) -> None:
        raise ValueError("no API key\nconfigured")

    monkeypatch.setattr(fakes["wandb"], "init", refuses)
    config = tiny(folder, tmp_path / "run", training__loggers="[wandb]")
    with pytest.raises(SemisegError, match=r"loggers=wandb cannot be opened \(no API key\); .* add --auto-resume$"):
        train(config, progress=False)
    monkeypatch.undo()
    train(tiny(folder, tmp_path / "run"), resume="auto", progress=False)
