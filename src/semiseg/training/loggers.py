"""Where a run's figures and pictures go beside metrics.jsonl: TensorBoard, Weights & Biases, MLflow."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from semiseg.config.read import Config
from semiseg.errors import SemisegError
from semiseg.runtime.extras import first_line, require
from semiseg.runtime.files import write_text


class Logger(Protocol):
    """What the loop tells a logger. Only the first process of a run has any."""

    def scalars(self, kind: str, iteration: int, values: Mapping[str, float]) -> None:
        """Numbers of one line of metrics.jsonl; ``kind`` is train or validation."""

    def pictures(self, iteration: int, pictures: Mapping[str, np.ndarray]) -> None:
        """Validation pictures by name, uint8 (H, W, 3)."""

    def close(self) -> None:
        """The run ends or stops; it may be opened again by ``--resume``."""


def open_loggers(config: Config, run_dir: Path, start: int, validates: bool = False) -> list[Logger]:
    """The configured loggers, those of an earlier part of the run continued.

    Args:
        config: ``training.tensorboard`` and ``training.loggers`` are read; all of it is shown with the run.
        run_dir: the run folder; ``loggers.json`` there keeps what a service calls the run.
        start: iteration that the run goes on from.
        validates: what was told of this very step is told again.

    Raises:
        SemisegError: a logger's library is not installed, or does not reach its service.
    """
    found: list[Logger] = [TensorBoard(run_dir, start + (not validates))] if config.training.tensorboard else []
    services: dict[str, Callable[[Config, Path], Logger]] = {"wandb": WeightsAndBiases, "mlflow": MLflow}
    for name in config.training.loggers:
        try:
            found.append(services[name](config, run_dir))
        except SemisegError:
            raise
        except Exception as error:  # no login, no server: each library has its own
            raise SemisegError(
                f"training.loggers={name} cannot be opened ({first_line(error)}); repair that, or leave it out, and "
                "add --auto-resume"
            ) from error
    return found


class TensorBoard:
    """Event files in ``RUN/tensorboard``; what earlier parts of the run wrote of step ``start`` on is forgotten."""

    def __init__(self, run_dir: Path, start: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer: Any = SummaryWriter(str(run_dir / "tensorboard"), purge_step=start)

    def scalars(self, kind: str, iteration: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(f"{kind}/{name}", value, iteration)

    def pictures(self, iteration: int, pictures: Mapping[str, np.ndarray]) -> None:
        for name, picture in pictures.items():
            self.writer.add_image(f"validation/{name}", picture, iteration, dataformats="HWC")

    def close(self) -> None:
        self.writer.close()


class WeightsAndBiases:
    """A run of the project named by ``WANDB_PROJECT`` (else semiseg); ``WANDB_MODE=offline`` keeps it on disk."""

    def __init__(self, config: Config, run_dir: Path) -> None:
        self.library = require("wandb", "wandb", "training.loggers=[wandb]")
        ids = _Ids(run_dir, "wandb")
        self.run: Any = self.library.init(
            project=os.environ.get("WANDB_PROJECT", "semiseg"), name=run_dir.name, dir=str(run_dir),
            config=config.model_dump(mode="json"), id=ids.known, resume="allow",
        )  # fmt: skip
        ids.keep(self.run.id)

    def scalars(self, kind: str, iteration: int, values: Mapping[str, float]) -> None:
        self.run.log({f"{kind}/{name}": value for name, value in values.items()}, step=iteration)

    def pictures(self, iteration: int, pictures: Mapping[str, np.ndarray]) -> None:
        images = {f"validation/{name}": self.library.Image(picture) for name, picture in pictures.items()}
        self.run.log(images, step=iteration)

    def close(self) -> None:
        self.run.finish()


class MLflow:
    """A run of the experiment named by ``MLFLOW_EXPERIMENT_NAME`` (else semiseg) at ``MLFLOW_TRACKING_URI``."""

    def __init__(self, config: Config, run_dir: Path) -> None:
        self.library = require("mlflow", "mlflow", "training.loggers=[mlflow]")
        ids = _Ids(run_dir, "mlflow")
        if ids.known is None:
            self.library.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "semiseg"))
        run = self.library.start_run(run_id=ids.known, run_name=None if ids.known else run_dir.name)
        if ids.known is None:
            self.library.log_params(dict(_flat(config.model_dump(mode="json"))))
        ids.keep(run.info.run_id)

    def scalars(self, kind: str, iteration: int, values: Mapping[str, float]) -> None:
        self.library.log_metrics({f"{kind}/{name}": value for name, value in values.items()}, step=iteration)

    def pictures(self, iteration: int, pictures: Mapping[str, np.ndarray]) -> None:
        for name, picture in pictures.items():
            self.library.log_image(picture, artifact_file=f"validation/{name}-{iteration:06d}.png")

    def close(self) -> None:
        self.library.end_run()


class _Ids:
    """What a service calls this run, kept so that a resumed run goes on in the same place."""

    def __init__(self, run_dir: Path, name: str) -> None:
        self.path, self.name = run_dir / "loggers.json", name
        self.all: dict[str, str] = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        self.known = self.all.get(name)

    def keep(self, value: str) -> None:
        write_text(self.path, json.dumps(self.all | {self.name: value}))


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
