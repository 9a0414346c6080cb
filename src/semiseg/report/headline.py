"""The top of a report: figures of every run, and the gain from the unlabelled images."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from semiseg.config.keys import FREE_ON_RESUME, value_of
from semiseg.config.read import fields
from semiseg.report.charts import Cell, Table
from semiseg.report.facts import RunFacts
from semiseg.runtime.progress import duration
from semiseg.training.advice.effort import Effort, effort, mean_effort, terms, time_taken

# The labelled images are compared by name; the method is what a gain is about.
NOT_COMPARED = ("method.", "training.seed", "data.split_seed", "data.labelled")


@dataclass(frozen=True)
class Gain:
    """Semi-supervised minus supervised mIoU in points, each the mean over ``runs`` (supervised, semi-supervised).

    ``terms`` says at what price: crops of a step and seconds of both sides, empty where they are alike; ``time`` says
    ``in 2.3 times the time``, empty where it is not known.
    """

    method: str
    supervised: float
    semi_supervised: float
    best: float | None
    runs: tuple[int, int]
    caution: str
    terms: str
    time: str = ""

    @property
    def points(self) -> float:
        return self.semi_supervised - self.supervised


def figures(runs: list[RunFacts]) -> Table:
    """A row for every run: student last and best, teacher last, in percent, how far it came and what it took."""
    paper = any(run.config.paper_miou is not None for run in runs)
    header = ["run", "method", "labelled images", "student, last", "student, best", "teacher, last"]
    rows: list[list[Cell]] = []
    for run in runs:
        best = run.scores.get("best")
        row: list[Cell] = [run.name, run.method, len(run.labelled) or run.summary.get("labelled")]
        row.append(_miou(run, "last"))
        row.append(
            f"{_miou(run, 'best')} (at {best.iteration})" if best is not None and best.miou is not None else None
        )
        row.append(_miou(run, "last_teacher"))
        if paper:
            row.append(run.config.paper_miou)
        took = _effort(run)
        row.append(f"{run.iteration} of {run.config.training.iterations}")
        row.append(None if took.crops is None else f"{took.crops:.0f}")
        row.append(None if took.seconds is None else duration(took.seconds))
        rows.append(row)
    header += [*(["paper"] if paper else []), "iterations", "crops a step", "time"]
    return Table(header, rows, "mIoU on the validation images in %. The best is chosen on them, so it flatters.")


def gains(runs: list[RunFacts]) -> list[Gain]:
    """For every semi-supervised method: its runs against the supervised ones on the same data with as many labels."""
    known = [run for run in runs if "last" in run.scores and run.scores["last"].miou is not None]
    found = []
    baselines: dict[tuple[object, ...], list[RunFacts]] = {}
    for run in known:
        if not run.semi_supervised:
            baselines.setdefault(_task(run), []).append(run)
    for task, baseline in baselines.items():
        methods = dict.fromkeys(run.method for run in known if run.semi_supervised and _task(run) == task)
        for method in methods:
            others = [run for run in known if run.method == method and _task(run) == task]
            best = [_mean(group, "best") for group in (baseline, others)]
            efforts = [mean_effort([_effort(run) for run in group]) for group in (others, baseline)]
            found.append(
                Gain(
                    method,
                    _mean(baseline, "last") or 0.0,
                    _mean(others, "last") or 0.0,
                    None if best[0] is None or best[1] is None else best[1] - best[0],
                    (len(baseline), len(others)),
                    _caution(baseline, others),
                    terms(*efforts),
                    time_taken(*efforts),
                )
            )
    return found


def last_sentence(run: RunFacts) -> str | None:
    """What the run said of itself at its last validation; None for runs of earlier versions."""
    return next((row["sentence"] for row in reversed(run.kind("validation")) if "sentence" in row), None)


def _effort(run: RunFacts) -> Effort:
    classes = max(1, len(run.classes))  # where no checkpoint names them: crops do not depend on their number
    return effort(run.config, classes, run.iteration, run.seconds)


def _task(run: RunFacts) -> tuple[object, ...]:
    data = run.config.data
    count = len(run.labelled) or run.summary.get("labelled")
    return run.classes, data.dataset, data.root, data.source.dataset, str(data.options), count


def _caution(baseline: list[RunFacts], others: list[RunFacts]) -> str:
    """What else differs between the two sides and may explain part of the gain."""
    found = []
    both = [*baseline, *others]
    left_out = set(FREE_ON_RESUME)
    if len({_effort(run).crops for run in both}) == 1:  # other labelled crops make up for the views: equal terms
        left_out.add("training.batch_size")
    compared = (k for k in fields() if not (k in left_out or k.startswith(NOT_COMPARED)))
    found += [key for key in compared if len({str(value_of(run.config, key)) for run in both}) > 1]
    sides = [{tuple(sorted(run.labelled)) for run in side} for side in (baseline, others)]
    if sides[0] != sides[1]:
        found.append("the labelled images")
    if any(not run.finished for run in both):
        found.append("how far the runs came")
    return ", ".join(found)


def _mean(runs: list[RunFacts], name: str) -> float | None:
    values = [score.miou for run in runs if (score := run.scores.get(name)) is not None and score.miou is not None]
    return statistics.fmean(values) if values else None


def _miou(run: RunFacts, name: str) -> str | None:
    score = run.scores.get(name)
    return None if score is None or score.miou is None else f"{score.miou:.2f}"
