"""A report from run folders to a file: facts, charts and pictures put into the page's template."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from semiseg.errors import SemisegError, UsageError
from semiseg.report.bank import bank_charts
from semiseg.report.charts import Chart
from semiseg.report.content import (
    class_charts,
    confusion_charts,
    loss_charts,
    miou_chart,
    quality_chart,
    sureness_charts,
    time_chart,
    weight_charts,
)
from semiseg.report.facts import RunFacts, read_runs
from semiseg.report.folds import fold_table
from semiseg.report.headline import figures, gains, last_sentence
from semiseg.report.meaning import meaning
from semiseg.report.page import render_page
from semiseg.report.pictures import strips
from semiseg.report.settings import compared_keys, versions
from semiseg.runtime.files import write_text


@dataclass(frozen=True)
class Part:
    """A heading of the page with its charts; ``missing`` says why there are none."""

    key: str
    title: str
    charts: list[Chart]
    missing: str


def write_report(
    runs: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    overwrite: bool = False,
    images: int = 4,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write one HTML file about one or several runs; nothing else in their folders is touched.

    Args:
        runs: run folders. What is missing in them (an interrupted run, data that has moved) is said in the report.
        output: the file; ``report.html`` in the first run's folder unless given, which may be replaced.
        overwrite: replace another file that exists.
        images: validation images in the strips, 0 for none.
        device: where the networks predict for the strips.
        progress: called with (images predicted for the strips, all of them).

    Returns:
        The file, about 5 MB: it holds Plotly's script and asks no server for anything.

    Raises:
        UsageError: not a run folder, ``output`` not .html, or existing without ``overwrite``.
        SemisegError: the file cannot be written.
    """
    folders = [runs] if isinstance(runs, (str, Path)) else list(runs)
    if images < 0:
        raise UsageError(f"images is {images}: give how many validation images to show, 0 for none")
    facts = read_runs([Path(folder) for folder in folders])
    path = Path(output) if output is not None else facts[0].path / "report.html"
    pages = {(run.path / "report.html").resolve() for run in facts}
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{path}: a report is one HTML file; give a name that ends in .html")
    if path.exists() and path.resolve() not in pages and not overwrite:
        raise UsageError(f"{path} exists; choose another --output, or --overwrite it")
    page = render(facts, images, device, progress)
    try:
        write_text(path, page, errors="replace")  # names of files need not be UTF-8
    except OSError as error:
        raise SemisegError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def render(
    runs: list[RunFacts], images: int = 4, device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None, template: str = "template.html",
    more: Mapping[str, Any] | None = None,
) -> str:  # fmt: skip
    """The page's text; ``more`` is what another template reads besides."""
    parts = _parts(runs)
    charts = [chart for part in parts for chart in part.charts]
    changed = compared_keys(runs)
    values: dict[str, Any] = {
        "title": " · ".join(run.name for run in runs),
        "runs": runs,
        "figures": figures(runs),
        "meaning": meaning(runs),
        "gains": gains(runs),
        "folds": fold_table(runs),
        "sentences": [(run.name, words) for run in runs if (words := last_sentence(run)) is not None],
        "parts": parts,
        "strips": strips(runs, images, device, progress) if images else [],
        "changed": [setting for setting in changed if any(setting.changed)],
        "settings": changed,
        "versions": versions(runs),
    }
    return render_page(template, charts, {**values, **(more or {})})


def _parts(runs: list[RunFacts]) -> list[Part]:
    quality = quality_chart(runs)
    watches = any(run.makes_pseudo_labels for run in runs)
    return [
        Part(
            "miou", "mIoU over steps and time", [c for c in (miou_chart(runs), time_chart(runs)) if c is not None],
            "No validation is logged yet.",
        ),
        Part("losses", "Losses", loss_charts(runs), "No training step is logged yet."),
        Part("classes", "IoU by class", class_charts(runs), "No validation is logged yet."),
        Part("confusion", "Confusion", confusion_charts(runs), "No validation is logged yet."),
        Part(
            "quality", "Pseudo-label quality", [*([quality] if quality else []), *sureness_charts(runs)],
            "Nothing was measured." if watches else "No run here has a teacher that makes pseudo-labels.",
        ),
        Part("bank", "Memory bank", bank_charts(runs), "No run here keeps a memory bank."),
        Part("weights", "Class weights", weight_charts(runs), "No checkpoint holds class counts."),
    ]  # fmt: skip
