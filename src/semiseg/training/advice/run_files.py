"""What stands in the folder of a finished run, read for the words at its end."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semiseg.config.read import Config
from semiseg.data.splits.lists import ANY_NAME
from semiseg.errors import SemisegError


@dataclass(frozen=True)
class FinishedRun:
    """A run folder with its summary.

    Attributes:
        path: the folder as it was given.
        config: of the run.
        summary: ``evaluation.json``.
        labelled: names of the images whose masks were used.
    """

    path: Path
    config: Config
    summary: dict[str, Any]
    labelled: frozenset[str]

    @property
    def classes(self) -> list[str]:
        """Names of the C classes."""
        return list(self.summary["last"]["classes"])

    def miou(self, name: str) -> float | None:
        """mIoU in percent of ``last``, ``best`` or ``last_teacher``; None where there is none."""
        value = self.summary.get(name, {}).get("miou")
        return 100 * value if value is not None and math.isfinite(value) else None

    def iou(self, name: str) -> list[float | None]:
        """IoU of each class in percent, None for one that is neither true nor predicted; empty without that network."""
        return [None if value is None else 100 * value for value in self.summary.get(name, {}).get("iou", [])]


def finished_run(path: Path) -> FinishedRun | None:
    """Read a run folder; None where it holds no finished run that this version can read."""
    try:
        config = Config.load(path / "config.yaml")
        summary = json.loads((path / "evaluation.json").read_text(encoding="utf-8"))
        names = (path / "labelled.txt").read_text(encoding="utf-8", errors=ANY_NAME).splitlines()
    except (OSError, ValueError, SemisegError):  # a file is missing, cut off, or of a method that is not installed
        return None
    return FinishedRun(path, config, summary, frozenset(names)) if "last" in summary else None
