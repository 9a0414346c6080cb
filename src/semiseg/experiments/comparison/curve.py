"""What the comparisons of methods add to a result row: the curve of a run over its own training time."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semiseg.config.read import Config
from semiseg.runs.metrics import read_metrics

VALIDATIONS = 10  # of every run, however long, so that its best is chosen from about as many


def schedule(iterations: int) -> list[str]:
    """Words for a run of so many steps, validated and saved at most ``VALIDATIONS`` times."""
    every = math.ceil(iterations / VALIDATIONS)
    return [
        f"training.iterations={iterations}", f"training.validate_every={every}", f"training.checkpoint_every={every}",
    ]  # fmt: skip


def curve(metrics: Sequence[dict[str, Any]], images_a_step: int) -> list[list[float]]:
    """Points ``[seconds, iteration, mIoU in percent]``, one a validation.

    Args:
        metrics: lines of ``metrics.jsonl`` in order.
        images_a_step: labelled crops of an optimiser step, which ``images_per_second`` counts.

    Returns:
        Seconds are those spent on steps and their crops since the first one, parts before a resume included;
        validations and saving are not in them.
    """
    seconds, before, found = 0.0, 0, []
    for row in metrics:
        if row["kind"] == "train":
            seconds += (row["iteration"] - before) * images_a_step / row["images_per_second"]
            before = row["iteration"]
        elif row["kind"] == "validation":
            found.append([round(seconds, 2), row["iteration"], round(row["miou"], 3)])
    return found


def columns(run_dir: Path) -> dict[str, Any]:
    """Of a finished run: ``teacher_last`` (mIoU in percent; None without one), ``curve`` and ``peak_memory_bytes``."""
    t = Config.load(run_dir / "config.yaml").training
    summary = json.loads((run_dir / "evaluation.json").read_text(encoding="utf-8"))
    teacher = summary.get("last_teacher")
    return {
        "teacher_last": round(100 * teacher["miou"], 3) if teacher else None,
        "peak_memory_bytes": summary.get("peak_memory"),
        "curve": curve(read_metrics(run_dir), t.batch_size * t.accumulation),
    }


def seconds_a_step(row: dict[str, Any]) -> float:
    """Mean over a run, from the end of its curve."""
    return row["curve"][-1][0] / row["curve"][-1][1]
