"""Where a run stands right now, in one line, and the report that looks again while it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch

from semiseg.report.facts import RunFacts, read_run
from semiseg.report.page import HERE
from semiseg.report.write import render
from semiseg.runs.metrics import read_metrics
from semiseg.runtime.progress import duration
from semiseg.runtime.shell import command_line
from semiseg.training.lock import is_held

PARTS = 20
"""How often a page is made anew between validations, over a whole run: losses go on meanwhile."""


class State(NamedTuple):
    """A line about the run, a mark that differs where the page would, and whether no process trains there."""

    words: str
    version: str
    ended: bool


def state_of(run: RunFacts) -> State:
    """Of a run that was read once: its log is read again, its configuration is not."""
    rows, held = read_metrics(run.path), is_held(run.path)
    steps = run.config.training.iterations
    done = max((row["iteration"] for row in rows), default=0)
    validations = [row for row in rows if row["kind"] == "validation"]
    measured = [row["miou"] for row in validations if row.get("miou") is not None]
    miou = f", mIoU {measured[-1]:.1f} (best {max(measured):.1f})" if measured else ""
    version = f"{len(validations)}.{done * PARTS // steps}.{'running' if held else 'ended'}"
    if held:
        return State(f"Running: step {done} of {steps}{miou}{_left(run, rows, steps - done)}.", version, False)
    if done >= steps and (run.path / "evaluation.json").is_file():
        return State(f"Ended after {steps} steps{miou}.", version, True)
    again = command_line(["semiseg", "train", run.path, "--resume"])
    return State(f"Stopped at step {done} of {steps}{miou}; {again} goes on.", version, True)


def live_page(path: Path, images: int, device: torch.device | str = "cpu") -> str:
    """The report of a run with the line on top, which asks ``state`` every few seconds and loads itself anew.

    Raises:
        UsageError: no run folder.
    """
    run = read_run(path)
    now = state_of(run)
    script = (HERE / "watch.js").read_text(encoding="utf-8")
    return render([run], images, device, template="watch.html", more={"live": now, "looks_again": script})


def _left(run: RunFacts, rows: list[dict[str, Any]], steps: int) -> str:
    """``, 12 min left`` by the speed of the last line of the log; validations come on top."""
    speed = next((row.get("images_per_second") for row in reversed(rows) if row["kind"] == "train"), None)
    if not speed:
        return ""
    t = run.config.training
    return f", {duration(steps * t.accumulation * t.batch_size / speed)} left"
