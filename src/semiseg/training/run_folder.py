"""The folder of a run: who may write to it, what may change before a resume, and the summary at the end."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any, Literal

import torch

from semiseg import __version__, derived
from semiseg.config.keys import value_of
from semiseg.config.read import Config
from semiseg.data.run_data import RunData
from semiseg.data.splits.lists import write_list
from semiseg.errors import SemisegError, UsageError
from semiseg.evaluation.confusion import EvaluationResult
from semiseg.runs.begun import SOURCE, VALIDATION, names_digest
from semiseg.runs.edited import as_begun, as_edited, differences
from semiseg.runs.folder import CONFIG, claim, named
from semiseg.runs.kept import Found, Kept
from semiseg.runtime import distributed
from semiseg.runtime.documents import dump_json
from semiseg.runtime.files import PARTIAL, write_text
from semiseg.training import label_record
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
        raise UsageError(
            f"{run_dir} already holds a run; add --resume to go on, choose another run_dir=, or leave it out: new runs "
            "are numbered"
        )
    found = kept.newest()
    saved = Config.parse(found.state["config"])
    config = as_begun(config, saved)
    as_edited(found.path, saved)  # the file may be what differs
    if changed := differences(saved, config):
        shown = ", ".join(f"{key} (was {value_of(saved, key)}, now {value_of(config, key)})" for key in changed[:3])
        raise UsageError(f"--resume with another configuration: {shown}; give the same values or another run_dir=")
    return config, found


def _check_new(run_dir: Path, resume: bool | Literal["auto"]) -> None:
    """Refuse a folder in which no run can start; ``"auto"`` starts where one broke off before its first checkpoint."""
    names = [path.name for path in run_dir.iterdir() if path.suffix != PARTIAL] if run_dir.exists() else []
    there = {*names} - {NAME}
    broken_off = CONFIG in there
    if resume is True:
        how = "--auto-resume starts it anew" if broken_off else "is it a run folder?" if there else "leave --resume out"
        raise UsageError(f"--resume: {run_dir} holds no checkpoint, so there is nothing to go on from; {how}")
    if there and not (resume and broken_off):
        how = "or --auto-resume: its run broke off before the first checkpoint" if broken_off else "or empty it"
        raise UsageError(f"{run_dir} is not empty; choose another run_dir=, {how}")


def claimed(base: Path, main: bool) -> Path:
    """The next free of ``base``, ``base-2``, …: the first process makes it, and all learn its number.

    Raises:
        UsageError: this is not the first process, which could not make it.
        OSError: it cannot be made.
    """
    number, refusal = 0, None
    if main:
        try:
            number = claim(base)
        except OSError as error:
            refusal = error
    (number,) = distributed.largest(number)
    if number == 0:
        raise refusal or UsageError(f"the first process cannot make {base}")
    return named(base, number)


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


def write_begun(
    config: Config, data: RunData, truths: label_record.Truths, settled: derived.Settled | None, new: bool
) -> None:
    """Write what a run knows before its first step: its settings, labelled images, masks, and what was derived."""
    run_dir = Path(config.run_dir)
    config.save(run_dir / CONFIG)
    write_list(run_dir / "labelled.txt", data.labelled_names)
    label_record.write(run_dir, truths, new)
    if settled is not None:
        derived.save(run_dir, settled.rows)


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
    peak_memory: int | None,
) -> None:
    """Write ``evaluation.json``: last and best student, the teacher where there is one, and what the run took.

    ``peak_memory`` in bytes is that since the last resume, as :mod:`semiseg.runtime.peak_memory` measures it.
    """
    summary: dict[str, Any] = {name: result.to_json() for name, result in results.items()}
    summary |= {
        "best_iteration": best_iteration,
        "iterations": iterations,
        "labelled": labelled,
        "seconds": round(seconds, 1),
        "peak_memory": peak_memory,
        "versions": {"semiseg": __version__, "python": platform.python_version(), "torch": torch.__version__},
    }
    write_text(run_dir / "evaluation.json", dump_json(summary, indent=1))
