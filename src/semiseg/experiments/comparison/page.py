"""The page of a comparison: the table, mIoU over labels and over time, and what each method costs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from semiseg.experiments.comparison.budget import budgets, sentences
from semiseg.experiments.comparison.runs import PAPER
from semiseg.experiments.comparison.table import HEAD, grouped, sections
from semiseg.report.charts import Cell, Chart, Curves, Table, colour_of, layout, plain, rounded
from semiseg.report.page import render_page
from semiseg.runtime.files import write_text

Row = dict[str, Any]
SHARED = (
    "Images, masks, crops, network, optimiser and schedule are the same for all methods, and under the profile equal "
    "also augmentation, teacher, class weights and warm-up: what differs is the use of the unlabelled images"
)
OWN = (
    f"Rows with {PAPER} have the teacher, class weights, augmentation and warm-up of the method's own paper as well, "
    "as far as it was read"
)


@dataclass(frozen=True)
class Part:
    """A heading of the page and what stands below it."""

    title: str
    sentences: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)


def write_page(rows: list[Row], title: str, path: Path) -> Path:
    """Write the page of a comparison's rows, about 5 MB; it asks no server for anything."""
    parts = page_parts(rows)
    charts = [chart for part in parts for chart in part.charts]
    write_text(path, render_page("comparison.html", charts, {"title": title, "sections": parts}), errors="replace")
    return path


def page_parts(rows: list[Row]) -> list[Part]:
    """Everything that the page shows, in order."""
    parts = [Part("Conditions", conditions(rows))] if rows else []
    parts += [
        Part(
            found.head.partition(": ")[0],
            [found.head.partition(": ")[2].rstrip("."), *(remark.rstrip(".") for remark in found.remarks)],
            [Table(list(HEAD), [list(cells) for cells in found.lines], "Points of mIoU; every split in brackets.")],
        )
        for found in sections(rows)
    ]
    by_count = budgets(rows)
    if any(len(counts) > 1 for counts in by_count.values()):
        parts.append(Part("mIoU over labelled images", sentences(by_count), charts=[budget_chart(by_count)]))
    runs = [row for row in rows if "curve" in row]
    if runs:
        parts.append(Part("mIoU over seconds of training", charts=[time_chart(runs)]))
        parts.append(Part("What the runs cost", tables=[costs(runs)]))
    return parts


def conditions(rows: Sequence[Row]) -> list[str]:
    """What the methods of these rows share, and what rows of another profile do not."""
    own = [row for row in rows if PAPER in (row.get("words") or "").split()]
    told = [] if len(own) == len([row for row in rows if row["method"] != "supervised"]) else [SHARED]
    return [*told, *([OWN] if own else [])]


def budget_chart(by_count: Mapping[str, Mapping[int, Sequence[float]]]) -> Chart:
    """Mean over splits with its standard deviation, of every method by number of labelled images."""
    traces, described = [], []
    rows: list[list[Cell]] = []
    for number, (name, counts) in enumerate(by_count.items()):
        means = [statistics.fmean(values) for values in counts.values()]
        spreads = [statistics.stdev(values) if len(values) > 1 else 0.0 for values in counts.values()]
        traces.append({
            "type": "scatter", "mode": "lines+markers", "name": plain(name), "x": list(counts),
            "y": [rounded(value) for value in means], "line": {"color": colour_of(number), "width": 2},
            "error_y": {"type": "data", "array": [rounded(value) for value in spreads], "visible": True},
        })  # fmt: skip
        described.append(f"{name}: from {means[0]:.1f} to {means[-1]:.1f}")
        rows += [
            [name, count, mean, spread, len(values)]
            for (count, values), mean, spread in zip(counts.items(), means, spreads, strict=True)
        ]
    figure = {
        "data": traces,
        "layout": layout(
            xaxis={"title": {"text": "labelled images"}, "type": "log"}, yaxis={"title": {"text": "mIoU %"}}
        ),
    }
    table = Table(["method", "labelled images", "mIoU %", "sd", "runs"], rows)
    words = f"Line chart of mIoU over labelled images. {'; '.join(described)}."
    return Chart("budget", "mIoU of the last student, mean and standard deviation over splits", words, figure, table)


def time_chart(runs: list[Row]) -> Chart:
    """Validation mIoU of every run over its own seconds of training."""
    curves = Curves("seconds", "Every run", "mIoU %", "seconds of training")
    names = list(dict.fromkeys(_name(row) for row in runs))
    for row in runs:
        split = row["split_seed"]
        points = {seconds: miou for seconds, _, miou in row["curve"]}
        curves.add(f"{_name(row)}, split {split}", points, names.index(_name(row)), split, markers=True)
    note = "Runs side by side disturb each other's clocks: equal seconds follow from the ratio of step times."
    cells: list[list[Cell]] = [[_name(row), row["split_seed"], *point] for row in runs for point in row["curve"]]
    table = Table(["runs of", "split", "seconds", "step", "mIoU %"], cells)  # no two runs share their seconds
    return replace(curves.chart(note=note), table=table)


def costs(runs: list[Row]) -> Table:
    """Steps, crops, FLOPs, memory and seconds of a run of each kind."""
    header = ["runs of", "count", "steps", "labelled crops", "unlabelled crops", "PFLOPs", "GiB, counted",
              "GiB, measured", "seconds"]  # fmt: skip
    rows: list[list[Cell]] = []
    for of_kind in grouped([row | {"kind": _name(row)} for row in runs], "kind").values():
        row = of_kind[0]
        flops, memory = row.get("flops"), row.get("memory_bytes")
        peaks = [peak for one in of_kind if (peak := one.get("peak_memory_bytes")) is not None]
        seconds = statistics.fmean(one["curve"][-1][0] for one in of_kind)
        rows.append([
            row["kind"], len(of_kind), row["iterations"], row.get("labelled_crops"), row.get("unlabelled_crops"),
            None if flops is None else flops / 1e15, None if memory is None else memory / 2**30,
            max(peaks) / 2**30 if peaks else None, round(seconds),
        ])  # fmt: skip
    return Table(
        header,
        rows,
        "FLOPs, and memory of a step, are counted as by semiseg cost; measured is the most that a run held: on a GPU "
        "its tensors, on a CPU the process with its libraries and images. Seconds are those beside other runs.",
    )


def _name(row: Row) -> str:
    """A kind of run, as the legend and the table call it."""
    steps = row["iterations"]
    beside = {"steps": "", "crops": f" at equal crops ({row['crops'] // steps} a step)"}
    told = beside.get(row["equal"], f" at equal {row['equal']} ({steps} steps)")
    return f"{row['method']} {row.get('words') or ''}".strip() + f"{told}, {row['labelled']} masks"
