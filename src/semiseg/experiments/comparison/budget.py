"""How mIoU grows with the number of labelled images, and what the next ones are expected to bring."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NEXT = 10


def budgets(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[int, list[float]]]:
    """mIoU in percent of the last students, by method and number of labelled images.

    A method's runs at its own steps, and of ``supervised`` those at equal steps; runs on all masks have no number.
    """
    found: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        if row["equal"] == "steps" and isinstance(row["labelled"], int):
            name = f"{row['method']} {row.get('words') or ''}".strip()
            found.setdefault(name, {}).setdefault(row["labelled"], []).append(row["miou_last"])
    return {name: dict(sorted(by_count.items())) for name, by_count in found.items()}


def expected_gain(by_count: Mapping[int, Sequence[float]], more: int = NEXT) -> float | None:
    """Points that ``more`` labelled images on top of the most are expected to bring; None of a single number.

    mIoU grows about linearly with the logarithm of the number of images, at the rate between the two largest numbers.
    """
    counts = sorted(by_count)
    if len(counts) < 2:
        return None
    before, last = counts[-2:]
    slope = (statistics.fmean(by_count[last]) - statistics.fmean(by_count[before])) / math.log(last / before)
    return slope * math.log((last + more) / last)


def sentences(found: Mapping[str, Mapping[int, Sequence[float]]]) -> list[str]:
    """What the next ten masks are expected to bring, a line a method."""
    told = []
    for name, by_count in found.items():
        gain = expected_gain(by_count)
        if gain is not None:
            most = max(by_count)
            told.append(f"{name}: ten masks more than {most} are expected to bring {gain:+.1f} points")
    return told
