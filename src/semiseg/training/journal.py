"""What a run writes down while it goes: metrics.jsonl and the loggers; and lines to the user."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.errors import SemisegError, one_line
from semiseg.runs.metrics import read_metrics
from semiseg.runtime.documents import dump_json
from semiseg.runtime.extras import first_line
from semiseg.runtime.files import write_text
from semiseg.training.loggers import Logger


def remark(line: str) -> None:
    """Tell the user something beside the bar."""
    tell(f"semiseg: {line}")


def tell(line: str) -> None:
    """Print to stderr, as far as it is still there: a terminal that was closed must not end a training."""
    with suppress(OSError):
        print(one_line(line), file=sys.stderr, flush=True)


class MetricsLog:
    """``metrics.jsonl``, one object a line with its ``kind`` (train, validation), and the loggers beside it.

    Args:
        run_dir: the run folder.
        start: steps that the run goes on from. A stopped run wrote lines past them, which the resumed one writes again.
        loggers: that are told the same.
        validates: the validation after step ``start`` comes again too, since the checkpoint is from before it.
    """

    def __init__(self, run_dir: Path, start: int, loggers: Sequence[Logger] = (), validates: bool = False) -> None:
        self.path = run_dir / "metrics.jsonl"
        kept = [
            row for row in read_metrics(run_dir)
            if row["iteration"] <= start and not (validates and row["iteration"] == start and row["kind"] != "train")
        ]  # fmt: skip
        write_text(self.path, "".join(dump_json(row) + "\n" for row in kept))
        self.file = self.path.open("a", buffering=1, encoding="utf-8")
        self.loggers = list(loggers)
        for row in kept[-1:] if validates else []:  # loggers forgot all of step ``start``
            if row["iteration"] == start:
                self._tell_numbers(**row)

    def write(self, kind: str, iteration: int, values: dict[str, Any]) -> None:
        """Append one line; its numbers also go to the loggers.

        Raises:
            SemisegError: it cannot be written, e.g. on a full disk.
        """
        try:
            self.file.write(dump_json({"kind": kind, "iteration": iteration, **values}) + "\n")
        except OSError as error:
            raise SemisegError(
                f"{self.path} could not be written ({error.strerror}); correct this, e.g. make room, and go on with "
                "--auto-resume"
            ) from error
        self._tell_numbers(kind, iteration, **values)

    def sync(self) -> None:
        """Wait until all lines would survive a power cut: a checkpoint that follows must not be ahead of them."""
        os.fsync(self.file.fileno())

    def _tell_numbers(self, kind: str, iteration: int, **values: Any) -> None:
        numbers = {name: value for name, value in values.items() if isinstance(value, (int, float))}
        self._tell(lambda logger: logger.scalars(kind, iteration, numbers))

    def pictures(self, iteration: int, pictures: Mapping[str, np.ndarray]) -> None:
        """Validation pictures, for the loggers only."""
        self._tell(lambda logger: logger.pictures(iteration, pictures))

    def close(self) -> None:
        with suppress(OSError):  # a full disk, which ended the run already
            self.file.close()
        self._tell(lambda logger: logger.close())

    def _tell(self, tell: Callable[[Logger], None]) -> None:
        """A logger that fails is left out from then on: a server that goes away must not end a training."""
        for logger in list(self.loggers):
            try:
                tell(logger)
            except Exception as error:  # each service has its own
                self.loggers.remove(logger)
                print(f"semiseg: {type(logger).__name__} failed and gets nothing more: {first_line(error)}",
                      file=sys.stderr, flush=True)  # fmt: skip
