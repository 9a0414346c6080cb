"""Experiments as rows of a result file: run one configuration, append its figures at once, skip what is there."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import shutil
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from semiseg.config.read import Config
from semiseg.errors import SemisegError, one_line
from semiseg.methods.base.bank import method_of
from semiseg.runs.kept import Kept
from semiseg.runs.metrics import read_metrics
from semiseg.runtime.files import write_text
from semiseg.runtime.shell import command_line, path_word
from semiseg.runtime.version import machine, versions


def read_results(path: Path) -> list[dict[str, Any]]:
    """Runs already in a result file.

    Raises:
        SemisegError: it is damaged.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError("no list of runs")
    except ValueError as error:
        raise SemisegError(
            f"{path} is damaged ({one_line(error)}); restore it, or move it away to begin anew"
        ) from None
    return rows


def run_once(
    path: Path,
    key: dict[str, Any],
    preset: str,
    overrides: list[str],
    work: Path,
    config: Config | None = None,
    keep: bool = False,
    same: Callable[[], dict[str, Any] | None] | None = None,
    command: str | None = None,
    columns: Callable[[Path], dict[str, Any]] | None = None,
) -> dict[str, Any] | None:
    """Train unless a run with this ``key`` is in the file; the result is saved before anything else starts.

    Args:
        path: result file, a JSON list of rows. Several processes that are given the same list of runs and the same
            ``path`` and ``work`` share it: each takes what no other has taken.
        key: what tells this run from the others; the first columns of its row.
        preset: preset name or YAML file, as on the command line.
        overrides: ``section.key=value`` words.
        work: folder for runs in progress; an interrupted run is resumed, a finished one removed.
        keep: leave the folder of the finished run, for what follows from it.
        config: the configuration, where ``preset`` and ``overrides`` alone do not give it.
        command: what to type for this run again, where that is not ``semiseg train PRESET OVERRIDES``.
        columns: further columns of the row, made from the folder of the finished run before it is removed.
        same: asked before a run starts; the row of a run with the same configuration is taken instead of training.

    Returns:
        None where another process is at this run; else its row: last and best mIoU of the student and last of the
        teacher in percent, IoU by class, the command line, date, machine and versions.
    """
    name = folder_name("-".join(str(value) for value in key.values() if value not in ("", None)))
    work.mkdir(parents=True, exist_ok=True)
    try:  # the system lets go of it when the process ends
        lock = FileLock(work / f".{name}.lock").acquire(timeout=0)
    except Timeout:
        return None
    with lock:
        for row in read_results(path):
            if all(row.get(column) == value for column, value in key.items()):
                return row
        if same is not None and (found := same()) is not None:
            append(path, found | key)
            return found | key
        command = command or command_line(["semiseg", "train", path_word(preset), *overrides])
        words = [f"run_dir={work / name}", "training.tensorboard=false"]
        if config is None:
            config = Config.load(preset, [*overrides, *words])
        else:
            config = Config.parse(config.model_dump(mode="json"), words)
        return _run(path, key, config, command, keep, columns)


def _run(
    path: Path,
    key: dict[str, Any],
    config: Config,
    command: str,
    keep: bool,
    columns: Callable[[Path], dict[str, Any]] | None,
) -> dict[str, Any]:
    from semiseg.training.loop import train

    run_dir = Path(config.run_dir)
    resume = Kept(run_dir).any()
    print(f"--- {key}{' (resumed)' if resume else ''}", file=sys.stderr, flush=True)
    result = train(config, resume="auto")  # what broke off before its first checkpoint starts afresh
    evaluation = json.loads((run_dir / "evaluation.json").read_text(encoding="utf-8"))
    rows = read_metrics(run_dir)
    training = [row for row in rows if row["kind"] == "train"]
    validation = [row for row in rows if row["kind"] == "validation"]
    row = key | {
        "miou_last": round(result.last_miou, 3),
        "miou_best": round(result.best_miou, 3),
        "miou_last_teacher": (
            round(100 * evaluation["last_teacher"]["miou"], 3) if "last_teacher" in evaluation else None
        ),
        "iou_last": [None if v is None else round(100 * v, 2) for v in evaluation["last"]["iou"]],
        "last_losses": {k: v for k, v in training[-1].items() if isinstance(v, float)},
        "last_measures": {k: validation[-1].get(k) for k in method_of(config).measured},
        "iterations": evaluation["iterations"],
        "seconds": round(result.seconds, 1),
        "resumed": resume,
        "command": command,
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": versions(),
    }
    row |= columns(run_dir) if columns is not None else {}
    append(path, row)
    if not keep:
        shutil.rmtree(run_dir)
    print(
        json.dumps({k: row[k] for k in (*key, "miou_last", "miou_best", "miou_last_teacher", "seconds")}),
        file=sys.stderr,
        flush=True,
    )
    return row


def folder_name(text: str) -> str:
    """``text`` as a name every file system takes; a long one is cut and told apart by a digest."""
    name = re.sub(r"[^\w.+-]+", "_", text)
    return name if len(name) <= 80 else f"{name[:60]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def append(path: Path, row: dict[str, Any]) -> None:
    """Add a row to a result file under a lock, since two processes may share it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.parent / f".{path.name}.lock"):
        write_text(path, json.dumps([*read_results(path), row], indent=1))


def mean_sd(values: Iterable[float]) -> str:
    """``mean ± sd`` of mIoU in percent; the sd is the sample's, absent for a single run."""
    values = list(values)
    if not values:
        return "–"
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{spread}"


def table(rows: list[dict[str, Any]], by: tuple[str, ...]) -> str:
    """Markdown table: one line a combination of ``by``, mean ± sd over its runs of last, best and teacher mIoU."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    lines = [
        "| " + " | ".join([*by, "runs", "student, last", "student, best", "teacher, last", "seconds a run"]) + " |",
        "|---" * (len(by) + 5) + "|",
    ]
    for group, runs in groups.items():
        teacher = [r["miou_last_teacher"] for r in runs if r["miou_last_teacher"] is not None]
        cells = [
            *map(str, group),
            str(len(runs)),
            mean_sd(r["miou_last"] for r in runs),
            mean_sd(r["miou_best"] for r in runs),
            mean_sd(teacher),
            f"{statistics.fmean(r['seconds'] for r in runs):.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
