"""What a run has written down so far, as far as the words need it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Validation:
    """One validation.

    Attributes:
        iteration: steps done.
        miou: of the student, in percent.
        loss: the supervised term, mean over the log since the validation before; None where the method has none.
        teacher: mIoU of the teacher in percent; None where it was not measured.
        quality: of the pseudo-labels then, as ``pseudo_label_quality`` gives it; empty where it was not measured.
    """

    iteration: int
    miou: float
    loss: float | None = None
    quality: Row = field(default_factory=dict)
    teacher: float | None = None


@dataclass(frozen=True)
class History:
    """A run so far.

    Attributes:
        validations: in order; never empty.
        first_loss: the supervised term in the first line of the log.
        confident: share of the unlabelled pixels that counted in the last steps, where the method watches it.
    """

    validations: tuple[Validation, ...]
    first_loss: float | None = None
    confident: float | None = None

    @property
    def curve(self) -> list[float]:
        """mIoU in percent at every validation."""
        return [validation.miou for validation in self.validations]

    @property
    def last(self) -> Validation:
        return self.validations[-1]

    @property
    def best(self) -> Validation:
        """The first with the highest mIoU, as ``best.pt`` is."""
        return max(self.validations, key=lambda validation: validation.miou)


def history(rows: Iterable[Row]) -> History | None:
    """From the lines of metrics.jsonl, in any order within a step; None without a validation that has an mIoU."""
    rows = list(rows)
    quality = {row["iteration"]: row for row in rows if row["kind"] == "pseudo_labels"}
    training = [row for row in rows if row["kind"] == "train"]
    losses = [(row["iteration"], row["supervised"]) for row in training if _known(row.get("supervised"))]
    found, before = [], 0
    for row in rows:
        if row["kind"] == "validation" and _known(row["miou"]):
            done = row["iteration"]
            since = [loss for at, loss in losses if before < at <= done]
            loss, teacher = fmean(since) if since else None, row.get("teacher_miou")
            found.append(Validation(done, row["miou"], loss, quality.get(done, {}), teacher))
            before = done
    if not found:
        return None
    confident = training[-1].get("confident") if training else None
    return History(tuple(found), losses[0][1] if losses else None, confident if _known(confident) else None)


def _known(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
