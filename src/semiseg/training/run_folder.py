"""The folder of a run: who may write to it, what may change before a resume, and the summary at the end."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import torch

from semiseg import __version__
from semiseg.config.keys import FREE_ON_RESUME, MENDS_ON_RESUME, used_fields, value_of
from semiseg.config.read import Config, fields
from semiseg.data.run_data import RunData
from semiseg.errors import UsageError
from semiseg.evaluation.confusion import EvaluationResult
from semiseg.runs import checkpoint
from semiseg.runs.begun import SOURCE, VALIDATION, names_digest


def prepare(config: Config, last: Path, resume: bool) -> dict[str, Any] | None:
    """The checkpoint to go on from, read once and into main memory; None for a new run. Never writes over a run.

    Raises:
        UsageError: the folder is not empty, or holds a run and ``resume`` is off, or that run was configured
            differently.
    """
    run_dir = Path(config.run_dir)
    if not last.exists():
        if run_dir.exists() and any(run_dir.iterdir()) and not resume:
            raise UsageError(f"{run_dir} is not empty; choose another run_dir=, or --resume if it is a run")
        return None
    if not resume:
        raise UsageError(f"{run_dir} already holds a run; add --resume to go on, or choose another run_dir=")
    state = checkpoint.load(last)
    saved = Config.parse(state["config"])
    keys = used_fields(config, fields()).keys() - FREE_ON_RESUME - MENDS_ON_RESUME
    changed = [key for key in sorted(keys) if value_of(saved, key) != value_of(config, key)]
    if changed:
        shown = ", ".join(f"{key} (was {value_of(saved, key)}, now {value_of(config, key)})" for key in changed[:3])
        raise UsageError(f"--resume with another configuration: {shown}; give the same values or another run_dir=")
    return state


def data_facts(data: RunData) -> dict[str, list[Any]]:
    """How many images of each kind, and a digest of their names: what a resume compares."""
    kinds = {
        "labelled images": data.labelled_names,
        "unlabelled images": [data.train.names[i] for i in data.unlabelled],
        VALIDATION: data.val.names,
        SOURCE: data.source.names if data.source is not None else [],
    }
    return {kind: [len(names), names_digest(names)] for kind, names in kinds.items()}


def check_same_data(saved: dict[str, list[Any]], now: dict[str, list[Any]]) -> None:
    """Refuse to go on with other images than the run began with; new masks and new files change the split.

    Raises:
        UsageError: names which images are others.
    """
    for kind, (count, digest) in saved.items():
        if digest != now[kind][1]:
            raise UsageError(
                f"--resume with other {kind} ({count} when it began, {now[kind][0]} now): restore the run's list and "
                "folder, or start anew with another run_dir="
            )


def write_summary(
    run_dir: Path,
    results: dict[str, EvaluationResult],
    *,
    best_iteration: int,
    iterations: int,
    labelled: int,
    seconds: float,
) -> None:
    """Write ``evaluation.json``: last and best student, and the teacher where there is one."""
    summary: dict[str, Any] = {name: result.to_json() for name, result in results.items()}
    summary |= {
        "best_iteration": best_iteration,
        "iterations": iterations,
        "labelled": labelled,
        "seconds": round(seconds, 1),
        "versions": {"semiseg": __version__, "python": platform.python_version(), "torch": torch.__version__},
    }
    (run_dir / "evaluation.json").write_text(json.dumps(summary, indent=1))
