"""The folder of a run: who may write to it, what may change before a resume, and the summary at the end."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any, Literal

import torch

from semiseg import __version__
from semiseg.config.keys import FREE_ON_RESUME, MEASURED, MENDS_ON_RESUME, used_fields, value_of
from semiseg.config.nested import set_key
from semiseg.config.profiles import filled_in
from semiseg.config.read import Config, fields
from semiseg.data.run_data import RunData
from semiseg.errors import SemisegError, UsageError
from semiseg.evaluation.confusion import EvaluationResult
from semiseg.runs.begun import SOURCE, VALIDATION, names_digest
from semiseg.runs.kept import Found, Kept
from semiseg.runtime import distributed
from semiseg.runtime.documents import dump_json
from semiseg.runtime.files import PARTIAL, write_text
from semiseg.training.journal import remark
from semiseg.training.lock import NAME, RunLock


def prepare(config: Config, kept: Kept, resume: bool | Literal["auto"]) -> tuple[Config, Found | None]:
    """The checkpoint to go on from, read once and into main memory; None for a new run. Never writes over a run.

    The configuration beside it is the given one; what its profile did not fill in when the run began stays as it was.

    Raises:
        UsageError: the folder is not empty, holds a run and ``resume`` is off or no checkpoint and it is on, or its run
            was configured differently.
        SemisegError: no checkpoint that can be read.
    """
    run_dir = Path(config.run_dir)
    if not kept.any():
        _check_new(run_dir, resume)
        return config, None
    if not resume:
        raise UsageError(f"{run_dir} already holds a run; add --resume to go on, or choose another run_dir=")
    found = kept.newest()
    saved = Config.parse(found.state["config"])
    config = _as_begun(config, saved)
    # What a profile fills in is compared, not its name.
    keys = used_fields(config, fields()).keys() - FREE_ON_RESUME - MENDS_ON_RESUME - {"method.profile"}
    if value_of(config, MEASURED) is None:
        keys -= {MEASURED}
    changed = [key for key in sorted(keys) if value_of(saved, key) != value_of(config, key)]
    if changed:
        shown = ", ".join(f"{key} (was {value_of(saved, key)}, now {value_of(config, key)})" for key in changed[:3])
        raise UsageError(f"--resume with another configuration: {shown}; give the same values or another run_dir=")
    return config, found


def _as_begun(config: Config, saved: Config) -> Config:
    """``config`` without what its profile filled in, where the run began with the usual value: as runs did before
    profiles filled in anything for other methods than the paper's."""
    known, method = fields(), config.method
    filled = filled_in({"profile": method.profile, "name": method.name})
    kept = {
        key: value_of(saved, key)
        for key in filled.keys() & used_fields(config, known).keys()
        if value_of(config, key) == filled[key] != value_of(saved, key) == known[key].default
    }
    if method.profile == "reference" or method.name != saved.method.name or not kept:
        return config
    values = config.model_dump(mode="json")
    for key, value in kept.items():
        set_key(values, key, value)
    return Config.parse(values)


def _check_new(run_dir: Path, resume: bool | Literal["auto"]) -> None:
    """Refuse a folder in which no run can start; ``"auto"`` starts where one broke off before its first checkpoint."""
    names = [path.name for path in run_dir.iterdir() if path.suffix != PARTIAL] if run_dir.exists() else []
    there = {*names} - {NAME}
    broken_off = "config.yaml" in there
    if resume is True:
        how = "--auto-resume starts it anew" if broken_off else "is it a run folder?" if there else "leave --resume out"
        raise UsageError(f"--resume: {run_dir} holds no checkpoint, so there is nothing to go on from; {how}")
    if there and not (resume and broken_off):
        how = "or --auto-resume: its run broke off before the first checkpoint" if broken_off else "or empty it"
        raise UsageError(f"{run_dir} is not empty; choose another run_dir=, {how}")


def take(lock: RunLock, main: bool) -> None:
    """The first process takes the run folder for all; where it cannot, all end alike.

    Raises:
        UsageError: another process trains there.
        OSError: the folder cannot be written.
    """
    refusal: Exception | None = None
    if main:
        try:
            if (line := lock.acquire()) is not None:
                remark(line)
        except (SemisegError, OSError) as error:
            refusal = error
    if any(distributed.largest(refusal is not None)):
        raise refusal or UsageError(f"the first process cannot train in {lock.path.parent}")


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
    write_text(run_dir / "evaluation.json", dump_json(summary, indent=1))
