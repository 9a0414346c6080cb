"""What the unlabelled images give by now, as far as it was measured."""

from __future__ import annotations

from semiseg.training.advice.circumstances import Circumstances
from semiseg.training.advice.history import History

FEW = 0.05
"""Share of the unlabelled pixels below which a threshold lets too few count to teach much; ours."""
TIE = 1.0
"""Points of mIoU below which two networks are called alike, as in benchmarks/gain_table.py."""
BY_THEN = 0.2
"""Share of the run after which that is no beginning any more: 0.2 is the longest warm-up of the presets."""


def unlabelled(history: History, run: Circumstances) -> str:
    """One clause; empty where nothing was measured. Right is named only where masks are hidden from training."""
    done, quality = history.last.iteration, history.last.quality
    if run.waits(done):
        if run.waits_until >= run.iterations:
            return f"the {run.waiting} never join in"
        return f"the {run.waiting} join in after step {run.waits_until}"
    if few(history, run):
        return ""
    sure, right = quality.get("confident"), quality.get("confident_accuracy")
    if sure is None:
        return ""
    words = f"the teacher is sure of {percent(sure)} of the unlabelled pixels"
    return words if right is None else f"{words}, and right on {percent(right)} of those"


def few(history: History, run: Circumstances) -> str:
    """What to do where a threshold lets too few pixels count; empty where it lets enough in, or has not begun to."""
    done, share = history.last.iteration, history.confident
    if share is None or share >= FEW or run.threshold is None or run.waits(done) or done < BY_THEN * run.iterations:
        return ""
    return f"only {percent(share)} of unlabelled pixels count: lower {run.threshold}"


def teacher(history: History) -> str:
    """How far the teacher stands from its student, where that is more than a tie; empty where it was not measured."""
    last = history.last
    apart = 0.0 if last.teacher is None else last.teacher - last.miou
    return f"the teacher {abs(apart):.1f} points {'above' if apart > 0 else 'below'}" if abs(apart) >= TIE else ""


def percent(share: float) -> str:
    """``71 %``; below one, a decimal: ``0.3 %``."""
    value = 100 * share
    return f"{value:.1f} %" if 0 < value < 1 else f"{value:.0f} %"
