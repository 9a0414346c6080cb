"""The table of a comparison: points that a method brings over ``supervised``, under each kind of equality."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from semiseg.experiments.comparison.curve import seconds_a_step
from semiseg.experiments.results import mean_sd

Row = dict[str, Any]
TIE = 1.0  # points; smaller differences are no difference
CONVERGED = 0.5  # points over the last fifth of a run: as many up is rising, as many down falling
EMPTY = {"method": "", "words": "", "crops": 0, "first_stage": 0}
HEAD = (
    "method", "equal", "runs", "supervised, last", "method, last", "gain, last", "95 %", "gain, best", "gain, teacher"
)  # fmt: skip
# Student's t that 97.5 % of draws stay below, by degrees of freedom from 1 on.
T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120)
NORMAL = 1.96


@dataclass(frozen=True)
class Section:
    """What one data set, number of masks and schedule show.

    Attributes:
        head: which they are, and whether ``supervised`` has converged.
        lines: cells of a line for each method and kind of equality, under ``HEAD``.
        remarks: how long the steps of a method take.
    """

    head: str
    lines: list[list[str]]
    remarks: list[str]

    def as_markdown(self) -> str:
        table = [HEAD, ("---",) * len(HEAD), *self.lines]
        rows = ["| " + " | ".join(cells) + " |" for cells in table]
        return "\n".join([self.head, "", *rows, *([""] if self.remarks else []), *self.remarks])

    def as_blocks(self) -> str:
        """The same for a terminal that is narrower than the table: a line for each figure."""
        wide = max(map(len, HEAD))
        blocks = []
        for method, equal, runs, *figures in self.lines:
            named = zip(HEAD[3:], figures, strict=True)
            blocks.append("\n".join([f"{method}, equal {equal}, {runs} runs:",
                                     *(f"  {name:<{wide}}  {figure}" for name, figure in named)]))  # fmt: skip
        return "\n\n".join([self.head, *blocks, *self.remarks])


def report(rows: list[Row]) -> str:
    """A paragraph and a Markdown table for every data set, number of masks and schedule in the rows."""
    return "\n\n".join(section.as_markdown() for section in sections(rows)) or "no runs yet"


def sections(rows: list[Row]) -> list[Section]:
    """One of every data set, number of masks and schedule in the rows."""
    methods = [row for row in rows if is_method(row)]
    plain = [row for row in rows if row["method"] == "supervised" and row["equal"] == "steps"]
    found = dict.fromkeys((r["data"], r["labelled"], r["iterations"]) for r in [*methods, *plain])
    return [section(rows, *which) for which in found]


def section(rows: list[Row], data: str, labelled: int | str, iterations: int) -> Section:
    """Whether supervised has converged, then one line a method and kind of equality."""
    some = [row for row in rows if row["data"] == data]
    runs = [r for r in some if is_method(r) and (r["labelled"], r["iterations"]) == (labelled, iterations)]
    supervised = [r for r in some if r["method"] == "supervised" and r["labelled"] == labelled]
    bound = [r for r in some if r["method"] == "supervised" and r["labelled"] == "all" != labelled]
    times = {(r["method"], r.get("words") or "", r["crops_a_step"]): r for r in some if r["equal"] == "step_time"}

    kinds: dict[tuple[str, int, int], list[Row]] = {("steps", iterations, 0): of(supervised, "steps", iterations)}
    lines, remarks = [], []
    for (name, words, crops, first), of_method in grouped(runs, "method", "words", "crops", "first_stage").items():
        joint = of_method[0].get("crops_a_step", crops // iterations)
        method = f"{name} {words}".strip()
        if first:
            method += f", {first} supervised step{'s' if first > 1 else ''} first"
        time = times.get((name, words, joint))
        pairs = {"steps": (iterations, 0), "crops": (iterations, joint * iterations)}
        if time is not None:
            pairs["seconds"] = (supervised_steps(time, iterations, first), 0)
        for equal, (steps, seen) in pairs.items():
            base = kinds.setdefault((equal, steps, seen), of(supervised, equal, steps, seen))
            lines += line(method, equal, of_method, base)
        if time is not None:
            remarks.append(step_remark(method, time, of_method, kinds["steps", iterations, 0], first))
    for crops in dict.fromkeys(crops for kind, _, crops in kinds if kind == "crops"):
        every, name = of(bound, "crops", iterations, crops), "supervised, all masks"
        others = next((rows for rows in kinds.values() if rows), [])  # where nothing was run at equal crops
        lines += line(name, "crops", every, kinds["crops", iterations, crops]) or line(name, "–", every, others)
    return Section(f"{data}, {labelled} masks, {iterations} steps: {convergence(kinds)}.", lines, remarks)


def is_method(row: Row) -> bool:
    """Whether a row is a run of a semi-supervised method."""
    return row["method"] != "supervised" and row["equal"] != "step_time"


def supervised_steps(time: Row, iterations: int, first_stage: int = 0) -> int:
    """Supervised steps that take as long as ``iterations`` of the method that ``time`` was measured for, of which the
    first ``first_stage`` are supervised themselves; rounded up to a multiple where ``time`` names one."""
    steps = max(1, round(first_stage + (iterations - first_stage) * time["ratio"]))
    multiple = time.get("rounded_up_to", 1)
    return -(-steps // multiple) * multiple


def of(rows: list[Row], equal: str, iterations: int, crops: int = 0) -> list[Row]:
    """The rows of one comparison; ``crops`` 0 stands for any."""
    return [r for r in rows if (r["equal"], r["iterations"]) == (equal, iterations) and crops in (0, r["crops"])]


def grouped(rows: list[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by the values of some columns; empty or 0 where a row has none."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row.get(name) or EMPTY[name] for name in names), []).append(row)
    return found


def line(method: str, equal: str, of_method: list[Row], supervised: list[Row]) -> list[list[str]]:
    """What both reach on the splits that both have, and the differences; nothing where they share no split."""
    base = {row["split_seed"]: row for row in supervised}
    pairs = [(row, base[row["split_seed"]]) for row in of_method if row["split_seed"] in base]
    pairs.sort(key=lambda pair: pair[0]["split_seed"])
    cells = [
        method, equal, str(len(pairs)),
        mean_sd(b["miou_last"] for _, b in pairs), mean_sd(m["miou_last"] for m, _ in pairs),
        gain(m["miou_last"] - b["miou_last"] for m, b in pairs),
        interval([m["miou_last"] - b["miou_last"] for m, b in pairs]),
        gain(m["miou_best"] - b["miou_best"] for m, b in pairs),
        gain(m["teacher_last"] - b["teacher_last"] for m, b in pairs if m["teacher_last"] is not None),
    ]  # fmt: skip
    return [cells] if pairs else []


def interval(differences: Sequence[float]) -> str:
    """``+1.2 to +9.4``: where the mean of paired differences lies in 95 % of such draws of splits (Student's t)."""
    bounds = confidence(differences)
    return "–" if bounds is None else f"{bounds[0]:+.1f} to {bounds[1]:+.1f}"


def confidence(differences: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the mean; None of fewer than two values."""
    count = len(differences)
    if count < 2:
        return None
    t = T[count - 2] if count - 2 < len(T) else NORMAL + (NORMAL**3 + NORMAL) / (4 * (count - 1))  # to about 0.01
    middle, reach = statistics.fmean(differences), t * statistics.stdev(differences) / math.sqrt(count)
    return middle - reach, middle + reach


def gain(differences: Iterable[float]) -> str:
    """``+5.3 (+6.4 · +4.2)``: the mean and each split in order; with ``tie`` before a mean below a point."""
    found = list(differences)
    if not found:
        return "–"
    middle = round(statistics.fmean(found), 1)
    return f"{'tie, ' if abs(middle) < TIE else ''}{middle:+.1f} ({' · '.join(f'{d:+.1f}' for d in found)})"


def convergence(kinds: dict[tuple[str, int, int], list[Row]]) -> str:
    """``supervised`` under each kind of equality: by how much its mIoU changed over the last fifth of its steps."""
    told = []
    for (equal, steps, crops), rows in kinds.items():
        rises = [rise for row in rows if (rise := last_fifth(row["curve"])) is not None]
        if rises:
            rise = statistics.fmean(rises)
            word = "is still rising" if rise >= CONVERGED else "has converged" if rise > -CONVERGED else "is falling"
            which = {"steps": "", "crops": f" ({crops // steps} a step)", "seconds": f" ({steps} steps)"}[equal]
            told.append(f"at equal {equal}{which} `supervised` {word} ({rise:+.1f} points over its last fifth)")
    return "; ".join(told) or "too few validations of `supervised` to say whether it has converged"


def last_fifth(curve: list[list[float]]) -> float | None:
    """Rise of mIoU from the validation nearest to four fifths of the steps to the last; None for a single one."""
    *before, end = curve
    return end[2] - min(before, key=lambda point: abs(point[1] - 0.8 * end[1]))[2] if before else None


def step_remark(method: str, time: Row, of_method: list[Row], supervised: list[Row], first_stage: int = 0) -> str:
    """The ratio of step times as measured, and that of the runs without their first stage, whatever ran beside them."""
    beside = ""
    if of_method and supervised:
        in_runs, base = (statistics.fmean(map(seconds_a_step, rows)) for rows in (of_method, supervised))
        steps = of_method[0]["iterations"]
        own = (in_runs * steps - base * first_stage) / (steps - first_stage)
        beside = f"; in the runs {own / base:.2f} times"
    return f"A step of {method} takes {time['ratio']:.2f} times as long as a supervised one, measured alone{beside}."
