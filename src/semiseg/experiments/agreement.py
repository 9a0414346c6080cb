"""A table of the paper beside what was measured: as Markdown, and how far the order of its rows agrees."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from semiseg.experiments.paper_tables import Cell, Scale
from semiseg.experiments.published import Published
from semiseg.experiments.results import mean_sd


def as_markdown(
    chosen: list[Cell], rows: list[dict[str, Any]], scale: Scale = "full", data: str = "toy_streets",
    published: Sequence[Published] = (),
) -> str:  # fmt: skip
    """A line for each cell, mean ± sd over the seeds in percent; then how many orderings of the paper hold.

    Args:
        chosen: the cells.
        rows: rows of the result file, with ``miou_last`` and ``miou_best`` of the student.
        scale: at full scale the table has a column of differences.
        data: named at mini scale.
        published: further rows of the table, which nothing here can be run for.
    """
    measured = {cell.preset: [r["miou_last"] for r in rows if r["preset"] == cell.preset] for cell in chosen}
    best = {cell.preset: [r["miou_best"] for r in rows if r["preset"] == cell.preset] for cell in chosen}
    same = {r["preset"]: r["same_run_as"] for r in rows if "same_run_as" in r}
    full = scale == "full"
    lines = [] if full else [f"On {data} with a short schedule: the paper's figures are for the order only.", ""]
    columns = ["preset", "what", "paper", "runs", "measured, last", "measured, best", *(["difference"] if full else [])]
    lines += ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    if any(cell.system for cell in chosen):
        source = "The column *paper* is the paper's own table, for the systems that it compares itself with as well."
        lines[:0] = [source, ""]
    for cell in chosen:
        values = measured[cell.preset]
        line = [
            cell.preset,
            cell.title + (f" (the run of {same[cell.preset]})" if cell.preset in same else ""),
            f"{cell.paper:.1f}",
            str(len(values)),
            mean_sd(values),
            mean_sd(best[cell.preset]),
        ]
        if full:
            line.append(f"{statistics.fmean(values) - cell.paper:+.1f}" if values else "–")
        lines.append("| " + " | ".join(line) + " |")
    rest = ["–"] * (len(columns) - 4)
    lines += [
        "| " + " | ".join(["–", f"{row.title} (published only)", f"{row.paper:.1f}", "0", *rest]) + " |"
        for row in published
    ]
    agree, pairs, against = order_agreement(chosen, measured, same)
    if pairs:
        lines += ["", f"{agree} of {pairs} orderings of the paper hold."]
        lines += [f"- not: {low} < {high}" for low, high in against[:10]]
    return "\n".join(lines)


def order_agreement(
    chosen: list[Cell], measured: dict[str, list[float]], same: dict[str, str] | None = None
) -> tuple[int, int, list[tuple[str, str]]]:
    """How far the means over the runs have the order of the paper's figures.

    Args:
        chosen: the cells; pairs with equal figures in the paper do not count.
        measured: mIoU of each run by preset; cells without runs do not count.
        same: a cell's preset to the one whose run it took over; two cells with one run are no pair.

    Returns:
        The number of pairs in the same order, the number of pairs, and the pairs in another order as (lower, higher)
        in the paper.
    """
    run_of = {cell.preset: (same or {}).get(cell.preset, cell.preset) for cell in chosen}
    finished = [cell for cell in chosen if measured[cell.preset]]
    pairs = [
        (a, b) if a.paper < b.paper else (b, a)
        for a, b in combinations(finished, 2)
        if a.paper != b.paper and run_of[a.preset] != run_of[b.preset]
    ]
    means = {cell.preset: statistics.fmean(measured[cell.preset]) for cell in finished}
    against = [(low.preset, high.preset) for low, high in pairs if means[low.preset] >= means[high.preset]]
    return len(pairs) - len(against), len(pairs), against
