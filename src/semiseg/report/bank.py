"""The memory bank in charts: how full each class is, and where its vectors lie."""

from __future__ import annotations

from typing import Any

import torch

from semiseg.memory_bank import bank_similarity
from semiseg.methods.base import StoredVectors
from semiseg.report.charts import MARKERS, Cell, Chart, Table, bars, colour_of, layout, plain
from semiseg.report.content import same_classes
from semiseg.report.facts import RunFacts
from semiseg.report.projection import principal_components

MOST_POINTS = 1500


def bank_charts(runs: list[RunFacts]) -> list[Chart]:
    """Occupancy of all runs with a bank, then the projection of each."""
    with_bank = [run for run in runs if run.bank is not None]
    charts = []
    for number, group in enumerate(same_classes(with_bank)):
        columns = {
            run.name if len(runs) > 1 else "vectors": [float(count) for count in run.bank.counts]
            for run in group
            if run.bank is not None
        }
        numbers = [run.number for run in group]
        sizes = sorted({run.bank.size for run in group if run.bank is not None})
        most = " or ".join(map(str, sizes))
        note = f"Features of pixels kept for each class, which others are compared with, at most {most}."
        charts.append(bars(f"bank-{number}", "bank occupancy", "vectors", group[0].classes, columns, numbers, note))
    for number, run in enumerate(with_bank):
        if run.bank is not None and len(run.bank.vectors) > 2:
            title = "bank vectors in two dimensions" + (f": {run.name}" if len(runs) > 1 else "")
            charts.append(_projection(f"projection-{number}", title, run.classes, run.bank, wide=len(with_bank) == 1))
    return charts


def _projection(key: str, title: str, classes: tuple[str, ...], bank: StoredVectors, wide: bool) -> Chart:
    points, shares = principal_components(bank.vectors)
    most = max(1, MOST_POINTS // len(classes))
    traces: list[dict[str, Any]] = []
    middles: list[tuple[str, list[float]]] = []
    rows: list[list[Cell]] = []
    for number, name in enumerate(classes):
        of_class = points[bank.labels == number]
        if not len(of_class):
            rows.append([name, 0, None, None])
            continue
        middle = of_class.mean(dim=0).tolist()
        rows.append([name, len(of_class), *(round(value, 3) for value in middle)])
        middles.append((name, middle))
        shown = of_class[torch.linspace(0, len(of_class) - 1, min(most, len(of_class))).round().long()]
        traces.append({
            "type": "scatter", "mode": "markers", "name": plain(name),
            "x": [round(value, 3) for value in shown[:, 0].tolist()],
            "y": [round(value, 3) for value in shown[:, 1].tolist()],
            "marker": {"color": colour_of(number), "symbol": MARKERS[number % len(MARKERS)], "size": 7,
                       "opacity": 0.75, "line": {"width": 0.5, "color": "#8C8C8C"}},
            "hovertemplate": "%{x:.2f}, %{y:.2f}<extra>" + plain(name) + "</extra>",
        })  # fmt: skip
    # The class's name where its vectors lie, shown and hidden together with them.
    for trace, (name, (x, y)) in zip(list(traces), middles, strict=True):
        trace["legendgroup"] = name
        traces.append({
            "type": "scatter", "mode": "text", "x": [round(x, 3)], "y": [round(y, 3)],
            "text": [f"<b>{plain(name)}</b>"], "legendgroup": name, "showlegend": False, "hoverinfo": "skip",
            "name": plain(name),
        })  # fmt: skip
    axes = {
        axis: {"title": {"text": f"{words} component ({100 * share:.0f} % of the variance)"}, "zeroline": False}
        for axis, words, share in (("xaxis", "first", shares[0]), ("yaxis", "second", shares[1]))
    }
    figure = {"data": traces, "layout": layout(460, **axes)}
    where = "; ".join(f"{name} around ({x:.2f}, {y:.2f})" for name, (x, y) in middles)
    return Chart(
        key,
        title,
        f"Scatter of the memory bank's vectors by class on their first two principal components. {where}.",
        figure,
        Table(["class", "vectors", "mean of the first", "mean of the second"], rows),
        "Directions (unit length) of the stored vectors, principal components. Classes that lie apart are told apart."
        + _alike(bank, len(classes)),
        wide,
    )


def _alike(bank: StoredVectors, num_classes: int) -> str:
    within, between = bank_similarity(bank.vectors, bank.labels, num_classes)
    if within is None or between is None:
        return ""
    return f" Mean cosine similarity of two of one class: {within:.2f}, of two of different classes: {between:.2f}."
