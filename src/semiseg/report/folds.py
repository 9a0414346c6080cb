"""Runs that are the folds of one cross-validation, taken together: every mask has validated once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from semiseg.config.keys import FREE_ON_RESUME, value_of
from semiseg.config.read import fields
from semiseg.evaluation.confusion import EvaluationResult
from semiseg.report.charts import Cell, Table
from semiseg.report.facts import RunFacts


@dataclass(frozen=True)
class Folds:
    """Runs that differ in ``data.options.fold`` alone, in its order."""

    runs: list[RunFacts]

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(fold_of(run) for run in self.runs)

    @property
    def masks(self) -> list[tuple[int, tuple[str, ...]]]:
        """Of every fold its number and the labelled images."""
        return [(fold_of(run), tuple(sorted(run.labelled))) for run in self.runs]

    def score(self, name: str) -> EvaluationResult | None:
        """Of the counts of all folds together, which weighs every pixel alike; None where a run lacks the score.

        Args:
            name: last or last_teacher. Not best: it would be chosen on the very images, fold by fold.
        """
        scores = [run.scores[name] for run in self.runs if name in run.scores]
        if len(scores) < len(self.runs):
            return None
        counts = sum(np.asarray(score.values["confusion"], dtype=np.int64) for score in scores)
        images = sum(score.values["images"] for score in scores)
        return EvaluationResult.from_confusion(np.asarray(counts), self.runs[0].classes, images)


def folds(runs: Iterable[RunFacts]) -> list[Folds]:
    """The cross-validations among the runs: at least two folds each, none of them twice."""
    groups: dict[tuple[str, ...], list[RunFacts]] = {}
    for run in runs:
        if "fold" in run.config.data.options:
            groups.setdefault(_same(run), []).append(run)
    found = (Folds(sorted(group, key=fold_of)) for group in groups.values())
    return [f for f in found if len(f.runs) == len(set(f.numbers)) > 1]


def fold_of(run: RunFacts) -> int:
    """``data.options.fold`` of a run that has it."""
    return int(str(run.config.data.options["fold"]))


def fold_table(runs: Iterable[RunFacts]) -> Table | None:
    """mIoU in percent over all folds of every cross-validation; None without one."""
    rows: list[list[Cell]] = []
    found = folds(runs)
    for group in found:
        last, teacher = group.score("last"), group.score("last_teacher")
        if last is not None:
            which = ", ".join(map(str, group.numbers))
            row: list[Cell] = [group.runs[0].method, which, last.images, _percent(last), _percent(teacher)]
            rows.append([*row, _gain(group, last, found)])
    header = ["method", "folds", "validation images", "student, last", "teacher, last", "over supervised"]
    note = "mIoU in % of the pixels of all folds counted together. No best: it would be chosen on the same images."
    return Table(header, rows, note) if rows else None


def _gain(group: Folds, last: EvaluationResult, among: list[Folds]) -> str | None:
    """Points over the supervised runs of the same folds and masks, if there is one such cross-validation."""
    if not group.runs[0].semi_supervised:
        return None
    base = [f.score("last") for f in among if not f.runs[0].semi_supervised and f.masks == group.masks]
    return f"{100 * (last.miou - base[0].miou):+.2f}" if len(base) == 1 and base[0] is not None else None


def _same(run: RunFacts) -> tuple[str, ...]:
    """All settings of a run but the fold and where it lies."""
    options = {key: value for key, value in run.config.data.options.items() if key != "fold"}
    left_out = {*FREE_ON_RESUME, "data.options"}
    keys = [key for key in fields() if key not in left_out and not key.startswith("data.options.")]
    return (str(options), str(run.classes), *(str(value_of(run.config, key)) for key in keys))


def _percent(result: EvaluationResult | None) -> str | None:
    return None if result is None or np.isnan(result.miou) else f"{100 * result.miou:.2f}"
