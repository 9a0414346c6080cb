"""``semiseg report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli.shared import Device, app, command


@command(app, "report")
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; several are shown side by side.")],
    output: Annotated[Path | None, typer.Option(help="HTML file; else report.html in the first run's folder.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing --output.")] = False,
    images: Annotated[int, typer.Option(help="Validation images to show, 0 for none.")] = 4,
    device: Device = "cpu",
) -> None:
    """Write an HTML page about runs. Example: semiseg report runs/toy"""
    from semiseg.report import write_report
    from semiseg.runtime.device import resolve_device
    from semiseg.runtime.progress import CountingBar

    with CountingBar("pictures") as bar:
        path = write_report(runs, output, overwrite, images, resolve_device(device), bar.update)
    print(f"report: {path}")
