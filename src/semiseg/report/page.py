"""One HTML file that asks no server for anything: a template, its charts and Plotly's script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from semiseg.report.charts import Chart

HERE = Path(__file__).parent


def render_page(template: str, charts: Sequence[Chart], values: Mapping[str, Any]) -> str:
    """The text of a page.

    Args:
        template: file beside this one.
        charts: all that the template draws.
        values: what it reads besides; text among them is escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = _cell
    own = {
        "drawings": {chart.key: chart.figure for chart in charts},
        # Our own files and Plotly's, not text from a run: they go in as they are.
        "plotly": get_plotlyjs(),
        "style": (HERE / "report.css").read_text(encoding="utf-8"),
        "script": (HERE / "report.js").read_text(encoding="utf-8"),
    }
    return environment.get_template(template).render({**values, **own})


def _cell(value: Any) -> str:
    """A table's cell as text: a dash for nothing, numbers short."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
