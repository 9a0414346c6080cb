"""The folder of a run: who may write to it, what may change before a resume, and the summary at the end."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import torch

from semiseg import __version__
from semiseg.config.keys import FREE_ON_RESUME, value_of
from semiseg.config.read import Config, fields
from semiseg.data.run_data import RunData
from semiseg.data.splits.lists import ANY_NAME
from semiseg.errors import UsageError
from semiseg.evaluation.confusion import EvaluationResult
from semiseg.runs import checkpoint


def prepare(config: Config, last: Path, resume: bool) -> bool:
    """Whether there is a run to go on with; refuses to write over one.

    Raises:
        UsageError: the folder is not empty, or holds a run and ``resume`` is off, or that run was configured
            differently.
    """
    run_dir = Path(config.run_dir)
    if not last.exists():
        if run_dir.exists() and any(run_dir.iterdir()) and not resume:
            raise UsageError(f"{run_dir} is not empty; choose another run_dir=, or --resume if it is a run")
        return False
    if not resume:
        raise UsageError(f"{run_dir} already holds a run; add --resume to go on, or choose another run_dir=")
    saved = Config.parse(checkpoint.load(last)["config"])
    changed = [key for key in fields() if key not in FREE_ON_RESUME and value_of(saved, key) != value_of(config, key)]
    if changed:
        shown = ", ".join(f"{key} ({value_of(saved, key)} then, {value_of(config, key)} now)" for key in changed[:3])
        raise UsageError(f"--resume with another configuration: {shown}; give the same values or another run_dir=")
    return True


def data_facts(data: RunData) -> dict[str, list[Any]]:
    """How many images of each kind, and a digest of their names: what a resume compares."""
    kinds = {
        "labelled images": data.labelled_names,
        "unlabelled images": [data.train.names[i] for i in data.unlabelled],
        "validation images": data.val.names,
        "images of the source domain": data.source.names if data.source is not None else [],
    }
    return {
        kind: [len(names), hashlib.sha256("\n".join(names).encode(errors=ANY_NAME)).hexdigest()]
        for kind, names in kinds.items()
    }


def check_same_data(saved: dict[str, list[Any]], now: dict[str, list[Any]]) -> None:
    """Refuse to go on with other images than the run began with; new masks and new files change the split.

    Raises:
        UsageError: names which images are others.
    """
    for kind, (count, digest) in saved.items():
        if digest != now[kind][1]:
            raise UsageError(
                f"--resume with other {kind} ({count} then, {now[kind][0]} now): give the run its list and folder back "
                "or start anew with another run_dir="
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
