"""On which terms two runs are compared: steps, crops of a step, seconds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from semiseg.config.read import Config
from semiseg.cost.run import count_run
from semiseg.runtime.progress import duration

ALIKE = 0.2
"""Share by which the seconds of equal work may differ: runs of one configuration that differ in the seed alone did by
17 %, other trainings beside them (median over the files of benchmarks/results)."""


class Effort(NamedTuple):
    """What a run took: optimiser steps, crops that each learns from in the mean, seconds in all; None: not known."""

    steps: float
    crops: float | None
    seconds: float | None


def effort(config: Config, num_classes: int, steps: int, seconds: float | None) -> Effort:
    """Of a run; its crops follow from the method. A network that cannot be built here leaves them unknown."""
    over = steps or config.training.iterations  # of a run that has not begun, what it will take
    try:
        crops = count_run(config, num_classes).all_crops(over) / over
    except Exception:  # an optional backbone whose package is missing: the figures are shown without it
        return Effort(steps, None, seconds)
    return Effort(steps, crops, seconds)


def mean_effort(efforts: Sequence[Effort]) -> Effort:
    """Of one or several runs, each figure unknown where it is of one of them."""

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return fmean(known) if len(known) == len(values) else None

    steps, crops, seconds = ([getattr(one, name) for one in efforts] for name in Effort._fields)
    return Effort(fmean(steps), mean(crops), mean(seconds))


def terms(one: Effort, other: Effort) -> str:
    """``at equal steps: 12 against 4 crops a step, 9 min against 4 min``; empty where all that is known is alike."""
    told = []
    if None not in (one.crops, other.crops) and one.crops != other.crops:
        told.append(f"{one.crops:.4g} against {other.crops:.4g} crops a step")
    if one.seconds is not None and other.seconds is not None:
        apart = abs(one.seconds - other.seconds) > ALIKE * max(one.seconds, other.seconds)
        if apart or told or one.steps != other.steps:
            told.append(f"{duration(one.seconds)} against {duration(other.seconds)}")
    if one.steps != other.steps:
        return ", ".join([f"at {one.steps:.0f} against {other.steps:.0f} steps", *told])
    return f"at equal steps: {', '.join(told)}" if told else ""


def time_taken(one: Effort, other: Effort) -> str:
    """``in 2.3 times the time``, of ``one`` for that of ``other``; empty where a time is not known."""
    if one.seconds is None or not other.seconds:
        return ""
    if abs(one.seconds - other.seconds) <= ALIKE * max(one.seconds, other.seconds):
        return "in about the same time"
    return f"in {one.seconds / other.seconds:.1f} times the time"
