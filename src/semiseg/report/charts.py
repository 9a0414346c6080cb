"""Charts as plain Plotly figures (JSON), each with a text alternative and a table of what it shows.

Runs and classes differ by an Okabe–Ito colour *and* by dash, marker or hatching, so that nothing depends on hue alone.
report.js sets the colours of text, grid and background, since it knows whether the page is dark.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# The palette of Okabe and Ito without black and yellow, each invisible on one of the two backgrounds; grey comes last.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C8C8C")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "triangle-down", "pentagon", "hexagram", "star")
PATTERNS = ("", "/", ".", "\\", "x", "-", "+")
LONGEST_TABLE = 60

Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """Header and rows of equal length; None is shown as a dash. ``note`` says what was left out."""

    header: list[str]
    rows: list[list[Cell]]
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """A Plotly figure (``data`` and ``layout``), a description for those who do not see it, and its table."""

    key: str
    title: str
    description: str
    figure: dict[str, Any]
    table: Table
    note: str = ""
    wide: bool = True


@dataclass
class Curves:
    """A chart of values over iterations or another growing quantity, made trace by trace.

    Args:
        key: id in the page.
        title: heading.
        unit: title of the vertical axis.
        over: title of the horizontal axis, and head of the table's first column.
        log: whether that axis is logarithmic.
        limits: its range; None: that of the values.
        traces, columns: what :meth:`add` and :meth:`points` have collected.
    """

    key: str
    title: str
    unit: str
    over: str = "iteration"
    log: bool = False
    limits: tuple[float, float] | None = None
    traces: list[dict[str, Any]] = field(default_factory=list)
    columns: dict[str, Mapping[float, float | None]] = field(default_factory=dict)

    def add(
        self, name: str, values: Mapping[float, float | None], colour: int, dash: int, *, markers: bool = False
    ) -> None:
        """A line over iterations; ``colour`` and ``dash`` are indices into the lists above."""
        self.columns[name] = values
        self.traces.append({
            "type": "scatter", "mode": "lines+markers" if markers else "lines", "name": plain(name),
            "x": list(values), "y": [rounded(value) for value in values.values()],
            "line": {"color": colour_of(colour), "dash": DASHES[dash % len(DASHES)], "width": 2},
            "marker": {"symbol": MARKERS[dash % len(MARKERS)], "size": 7, "color": colour_of(colour)},
            "hovertemplate": "%{y:.4g} at %{x}<extra>" + plain(name) + "</extra>",
        })  # fmt: skip

    def points(self, name: str, marks: list[tuple[float, float, str]], symbol: str, colours: list[int]) -> None:
        """Single marks (iteration, value, label)."""
        self.traces.append({
            "type": "scatter", "mode": "markers", "name": plain(name), "x": [mark[0] for mark in marks],
            "y": [rounded(mark[1]) for mark in marks], "text": [plain(mark[2]) for mark in marks],
            "marker": {"symbol": symbol, "size": 13, "color": [colour_of(c) for c in colours],
                       "line": {"width": 1.5, "color": "#8C8C8C"}},
            "hovertemplate": "%{text}: %{y:.4g} at %{x}<extra>" + plain(name) + "</extra>",
        })  # fmt: skip

    def chart(self, *, note: str = "", wide: bool = True) -> Chart:
        """The finished chart; its description has the first, last and highest value of every line."""
        described = []
        for name, values in self.columns.items():
            known = [(i, v) for i, v in values.items() if v is not None and math.isfinite(v)]
            if known:
                top = max(known, key=lambda pair: pair[1])
                described.append(
                    f"{name}: from {known[0][1]:.3g} to {known[-1][1]:.3g}, highest {top[1]:.3g} at {top[0]}"
                )
        axis: dict[str, Any] = {"title": {"text": self.unit}, "type": "log" if self.log else "linear"}
        if self.log:
            axis |= {"exponentformat": "power", "dtick": 1}
        if self.limits is not None:
            axis["range"] = list(self.limits)
        figure = {
            "data": self.traces,
            "layout": layout(xaxis={"title": {"text": self.over}, "rangemode": "tozero"}, yaxis=axis),
        }
        words = f"Line chart of {self.title} over {self.over}s. {'; '.join(described)}."
        return Chart(self.key, self.title, words, figure, self._table(), note, wide)

    def _table(self) -> Table:
        steps = sorted({step for values in self.columns.values() for step in values})
        note = ""
        if len(steps) > LONGEST_TABLE:
            every = math.ceil(len(steps) / LONGEST_TABLE)
            kept = steps[::every] + ([steps[-1]] if (len(steps) - 1) % every else [])
            note = f"{len(kept)} of {len(steps)} rows; metrics.jsonl has all of them."
            steps = kept
        rows: list[list[Cell]] = [[step, *(values.get(step) for values in self.columns.values())] for step in steps]
        return Table([self.over, *self.columns], rows, note)


def bars(
    key: str,
    title: str,
    unit: str,
    names: Sequence[str],
    columns: Mapping[str, Sequence[float | None]],
    numbers: Sequence[int],
    note: str = "",
) -> Chart:
    """Horizontal bars by class, in each group one bar per run.

    Args:
        key, title, note: of the chart.
        unit: title of the horizontal axis.
        names: of the C classes.
        columns: C values by the name of the run; None where one is unknown.
        numbers: of the runs, which choose colour and hatching.
    """
    traces = []
    for number, (run, values) in zip(numbers, columns.items(), strict=True):
        traces.append({
            "type": "bar", "orientation": "h", "name": plain(run), "y": unique(names),
            "x": [rounded(value) for value in values],
            "marker": {"color": colour_of(number), "line": {"width": 1, "color": colour_of(number)},
                       "pattern": {"shape": PATTERNS[number % len(PATTERNS)], "fillmode": "overlay",
                                   "fgcolor": "#FFFFFF", "fgopacity": 0.8, "size": 7, "solidity": 0.25}},
            "hovertemplate": "%{y}: %{x:.4g}<extra>" + plain(run) + "</extra>",
        })  # fmt: skip
    height = 120 + len(names) * max(22, 14 * len(columns) + 8)
    figure = {
        "data": traces,
        "layout": layout(
            height, barmode="group", bargap=0.25,
            xaxis={"title": {"text": unit}, "rangemode": "tozero"}, yaxis={"autorange": "reversed"},
        ),
    }  # fmt: skip
    described = []
    for run, values in columns.items():
        known = [(value, name) for value, name in zip(values, names, strict=True) if value is not None]
        if known:
            low, high = min(known), max(known)
            described.append(f"{run}: lowest {low[1]} {low[0]:.3g}, highest {high[1]} {high[0]:.3g}")
    words = f"Bar chart of {title} by class. {'; '.join(described)}."
    rows: list[list[Cell]] = [[name, *(values[c] for values in columns.values())] for c, name in enumerate(names)]
    return Chart(key, title, words, figure, Table(["class", *columns], rows), note)


def heat_map(key: str, title: str, names: Sequence[str], confusion: Sequence[Sequence[int]]) -> Chart:
    """Confusion matrix (C, C), rows truth, in percent of each row; rows without pixels stay empty."""
    shares: list[list[float | None]] = []
    for counts in confusion:
        total = sum(counts)
        shares.append([round(100 * count / total, 1) if total else None for count in counts])
    labels = unique(names)
    trace: dict[str, Any] = {
        "type": "heatmap", "z": shares, "x": labels, "y": labels, "zmin": 0, "zmax": 100, "colorscale": "Cividis",
        "xgap": 1, "ygap": 1, "colorbar": {"title": {"text": "%"}, "thickness": 12, "outlinewidth": 0},
        "hovertemplate": "truth %{y}, predicted %{x}: %{z:.1f} %<extra></extra>", "hoverongaps": False,
    }  # fmt: skip
    if len(names) <= 12:
        trace |= {"texttemplate": "%{z:.0f}", "textfont": {"size": 11}}
    height = 150 + 28 * len(names)
    figure = {
        "data": [trace],
        "layout": layout(
            height,
            xaxis={"title": {"text": "predicted"}, "tickangle": -45, "showgrid": False},
            yaxis={"title": {"text": "truth"}, "autorange": "reversed", "showgrid": False},
        ),
    }
    described = []
    for name, row in zip(names, shares, strict=True):
        known = [(value, other) for value, other in zip(row, names, strict=True) if value is not None]
        if known:
            wrong = max((pair for pair in known if pair[1] != name), default=(0.0, "nothing"))
            right = next((value for value, other in known if other == name), 0.0)
            described.append(f"{name} {right:.0f} % right, most often taken for {wrong[1]} ({wrong[0]:.0f} %)")
    words = f"Heat map of the {title}, percent of each true class. {'; '.join(described)}."
    rows: list[list[Cell]] = [[name, *row] for name, row in zip(names, shares, strict=True)]
    return Chart(key, title, words, figure, Table(["truth \\ predicted (%)", *names], rows), wide=False)


def layout(height: int = 360, **more: Any) -> dict[str, Any]:
    """What all charts share: a transparent background, the legend above, margins that grow with the labels."""
    axes = {name: more.pop(name, {}) | {"automargin": True} for name in ("xaxis", "yaxis")}
    return {
        "height": height, "margin": {"l": 8, "r": 8, "t": 8, "b": 8}, "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)", "showlegend": True, "hovermode": "closest",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        **axes, **more,
    }  # fmt: skip


def colour_of(number: int) -> str:
    """Colour of the run or class with this number; dash or marker distinguish those that share a colour."""
    return COLOURS[number % len(COLOURS)]


def plain(text: str) -> str:
    """Text that Plotly shows literally, although it interprets some HTML in names."""
    return html.escape(text, quote=False)


def unique(names: Sequence[str]) -> list[str]:
    """Class names as categories of an axis, numbered where two have the same name, since the axis would merge them."""
    names = list(names)
    return [plain(name) if names.count(name) == 1 else f"{plain(name)} ({i})" for i, name in enumerate(names)]


def rounded(value: float | None) -> float | None:
    """Four significant digits; None for NaN and infinity, which JSON does not have."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.4g}")
