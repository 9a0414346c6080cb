"""What the unlabelled images brought: a supervised run of the same data in a neighbouring folder."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from semiseg.runtime.plugins import method_class
from semiseg.training.advice.effort import Effort, effort, terms
from semiseg.training.advice.run_files import FinishedRun, finished_run


def beside(run: FinishedRun) -> FinishedRun | None:
    """The newest run in a neighbouring folder on the same images, masks and validation images: a supervised one beside
    one that uses unlabelled images, and the other way round; None where there is none."""
    files = [path for path in run.path.resolve().parent.glob("*/evaluation.json") if not path.parent.samefile(run.path)]
    for path in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        other = finished_run(path.parent)
        if other is not None and semi_supervised(other) != semi_supervised(run) and _task(other) == _task(run):
            up = run.path.name in ("", "..")  # whose parent is no neighbour's
            where = Path(os.path.relpath(other.path)) if up else run.path.parent / other.path.name
            return replace(other, path=where)
    return None


def gain(run: FinishedRun, other: FinishedRun | None) -> str | None:
    """Points of mIoU that the unlabelled images brought, between a run and the one beside it; None where unknown."""
    if other is None:
        return None
    semi, plain = (run, other) if semi_supervised(run) else (other, run)
    mine, its = semi.miou("last"), plain.miou("last")
    if mine is None or its is None:
        return None
    on_terms = terms(effort_of(semi), effort_of(plain))
    method = semi.config.method.name
    pair = f"against {plain.path}" if semi is run else f"for {method} in {semi.path} against this run"
    words = f"{mine - its:+.1f} points of mIoU {pair}, supervised on the same masks (last against last"
    return f"{words}; {on_terms})" if on_terms else f"{words})"


def semi_supervised(run: FinishedRun) -> bool:
    """Whether its method learns from unlabelled images."""
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


def effort_of(run: FinishedRun) -> Effort:
    """What it took."""
    return effort(run.config, len(run.classes), run.summary["iterations"], run.summary.get("seconds"))
