"""What the figures of a report mean, in sentences for those who have not read the paper."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from semiseg.errors import SemisegError
from semiseg.report.facts import RunFacts, Score, read_run, read_runs
from semiseg.report.headline import Gain, gains
from semiseg.runtime.shell import command_line
from semiseg.training.advice.closing import supervised_words
from semiseg.training.advice.noise import FEW_IMAGES, between_trainings
from semiseg.training.advice.run_files import finished_run
from semiseg.training.advice.siblings import beside
from semiseg.training.advice.unlabelled import TIE


def meaning(runs: list[RunFacts]) -> list[str]:
    """Sentences, the most important first; none where no run has been validated.

    What the unlabelled images brought where a supervised run stands beside, else how good the run is; which class is
    recognised worst; and a warning where few images validate.
    """
    measured = [run for run in runs if "last" in run.scores and run.scores["last"].miou is not None]
    if not measured:
        return []
    found = [bought(gain, _images(measured)) for gain in gains(runs)]
    chief = max(measured, key=lambda run: (run.semi_supervised, run.number))  # the one that a reader came for
    if not found:
        found.append(quality(chief.scores["last"]))
    return [*found, *filter(None, (worst(chief), few(_images(measured)), alone(measured)))]


def of_run(folder: Path) -> list[str]:
    """The same of a run folder and the run beside it that tells what the unlabelled images brought; none for what is
    no run folder."""
    run = finished_run(folder)
    other = None if run is None else beside(run)
    try:
        return meaning([read_run(folder)] if other is None else read_runs([other.path, folder]))
    except SemisegError:  # a checkpoint by itself, or a run of another version
        return []


def bought(gain: Gain, images: int) -> str:
    """``The unlabelled images bought 5.4 points …``, at which price, and whether so much is chance."""
    points = round(gain.points, 1)
    chance = between_trainings(images) / math.sqrt(min(gain.runs))
    figures = f"{gain.method} {gain.semi_supervised:.1f} %, supervised {gain.supervised:.1f} %"
    price = f", {gain.time}" if gain.time else ""
    if abs(points) < TIE:
        return f"The unlabelled images made no difference ({points:+.1f} points of mIoU: {figures}{price})."
    verb = "bought" if points > 0 else "cost"
    words = f"The unlabelled images {verb} {abs(points):.1f} points of mIoU ({figures}{price})"
    if abs(points) < chance:
        return f"{words}; with {counted(images)}, {chance:.0f} points may still be chance."
    return f"{words}."


def quality(score: Score) -> str:
    """``On 24 validation images 91 % of the pixels get their class, …``."""
    confusion = np.asarray(score.values["confusion"], dtype=np.float64)
    right = 100 * np.trace(confusion) / max(1.0, confusion.sum())
    return (
        f"On {counted(score.values['images'])}, {right:.0f} % of the pixels get the right class; averaged over the "
        f"classes, prediction and truth share {score.miou:.1f} % of the pixels that either has (mIoU)."
    )


def worst(run: RunFacts) -> str | None:
    """The class that is recognised worst; None where fewer than two can be compared."""
    iou = run.scores["last"].iou
    known = [(value, name) for value, name in zip(iou, run.classes, strict=False) if value is not None]
    if len(known) < 2:
        return None
    value, name = min(known)
    return f"More masks of {name} would probably help most: it is recognised worst (IoU {value:.0f} %)."


def few(images: int) -> str | None:
    """A warning where fewer than ``FEW_IMAGES`` validate."""
    if images >= FEW_IMAGES:
        return None
    verb = "validates" if images == 1 else "validate"
    return (
        f"Only {counted(images, '')} {verb}: two trainings that differ by chance alone lie up to "
        f"{between_trainings(images):.0f} points apart there. Do not choose between runs by these figures."
    )


def alone(runs: list[RunFacts]) -> str | None:
    """The command whose run would tell what the unlabelled images bring, where there is none yet."""
    if any(not run.semi_supervised for run in runs) or len(runs) != 1:
        return None
    run = finished_run(runs[0].path)
    if run is None:
        return None
    command = command_line(["semiseg", "train", runs[0].path / "config.yaml", *supervised_words(run)])
    return f"What the unlabelled images bought, a run without them tells: {command}"


def counted(images: int, kind: str = "validation ") -> str:
    """``24 validation images``."""
    return f"one {kind}image" if images == 1 else f"{images} {kind}images"


def _images(runs: list[RunFacts]) -> int:
    return min(int(run.scores["last"].values["images"]) for run in runs)
