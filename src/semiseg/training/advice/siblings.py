"""What the unlabelled images brought: a supervised run of the same data in a neighbouring folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from semiseg.runtime.plugins import method_class
from semiseg.training.advice.effort import Effort, effort, terms
from semiseg.training.advice.run_files import FinishedRun, finished_run


def gain(run: FinishedRun) -> str | None:
    """Points of mIoU above the last supervised run beside it on the same images, masks and validation images.

    None where the run uses no unlabelled images itself, or there is no such run.
    """
    if not _semi_supervised(run):
        return None
    beside = [
        path for path in run.path.resolve().parent.glob("*/evaluation.json") if not path.parent.samefile(run.path)
    ]
    for path in sorted(beside, key=lambda file: file.stat().st_mtime, reverse=True):
        other = finished_run(path.parent)
        if other is not None and not _semi_supervised(other) and _task(other) == _task(run):
            return _words(run, other)
    return None


def _semi_supervised(run: FinishedRun) -> bool:
    needs: bool = method_class(run.config.method.name).needs.unlabelled
    return needs


def _task(run: FinishedRun) -> tuple[Any, ...]:
    """What two runs share whose difference is due to the unlabelled images."""
    data = run.config.data
    root = Path(data.root).resolve() if data.root is not None else None
    return (
        run.labelled, run.classes, data.dataset, root, str(data.options), data.source.dataset,
        run.summary["last"]["images"],
    )  # fmt: skip


def _effort(run: FinishedRun) -> Effort:
    return effort(run.config, len(run.classes), run.summary["iterations"], run.summary.get("seconds"))


def _words(run: FinishedRun, other: FinishedRun) -> str | None:
    mine, its = run.miou("last"), other.miou("last")
    if mine is None or its is None:
        return None
    on_terms = terms(_effort(run), _effort(other))
    where = Path(os.path.relpath(other.path)) if run.path.name in ("", "..") else run.path.parent / other.path.name
    words = f"{mine - its:+.1f} points of mIoU against {where}, supervised on the same masks (last against last"
    return f"{words}; {on_terms})" if on_terms else f"{words})"
