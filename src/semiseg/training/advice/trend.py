"""Where mIoU and training loss go: up, down or nowhere, given how much of it may be chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from itertools import combinations
from statistics import median

LEAST, WINDOW = 3, 4
"""Validations that a trend is read from, at least and at most: three are the fewest with a direction, four are not much
more than a third of the ten that the preset ``folder`` has."""
RISES = 1.5
"""Standard errors beyond which a slope is called one: by chance alone 1 in 15 is."""
FALLS = 2.0
"""Standard errors that the end must lie below the highest level, which is the highest partly by chance."""
OF_MEDIAN = 0.67
"""Standard error of the median of three, in those of one value (normal errors)."""
LOSS_MOVES = 0.1
"""Share by which the training loss must change. Means over 10 steps err by 5 to 12 % of themselves
(benchmarks/results/validation_noise.json), those between two validations, mostly over hundreds of steps, by less."""


class Trend(Enum):
    """Direction of a curve."""

    EARLY = "too few validations"
    RISING = "rising"
    FLAT = "flat"
    FALLING = "falling"


def trend(curve: Sequence[float], sigma: float) -> Trend:
    """Direction of mIoU at the end of its curve.

    Args:
        curve: mIoU in percent at every validation.
        sigma: standard error of each, in points.
    """
    if len(curve) < LEAST:
        return Trend.EARLY
    recent = curve[-WINDOW:]
    rise, error = _rise(recent), sigma * math.sqrt(12 * (len(recent) - 1) / (len(recent) * (len(recent) + 1)))
    if rise > RISES * error:
        return Trend.RISING
    # Medians, and two validations below: one that is out of the common neither makes a peak nor ends it.
    levels = [median(curve[i : i + LEAST]) for i in range(len(curve) - LEAST + 1)]
    fallen = max(levels) - levels[-1] > FALLS * OF_MEDIAN * sigma * math.sqrt(2)
    if (fallen or rise < -RISES * error) and max(curve[-2:]) < max(levels):
        return Trend.FALLING
    return Trend.FLAT


def _rise(values: Sequence[float]) -> float:
    """How far a straight line with the median of all slopes between two values rises from the first to the last."""
    pairs = combinations(enumerate(values), 2)
    return median((b - a) / (j - i) for (i, a), (j, b) in pairs) * (len(values) - 1)


def change(before: float | None, now: float | None) -> Trend | None:
    """Direction of the training loss between two of its means; None where one is not known."""
    if before is None or now is None:
        return None
    if now < (1 - LOSS_MOVES) * before:
        return Trend.FALLING
    return Trend.RISING if now > (1 + LOSS_MOVES) * before else Trend.FLAT
