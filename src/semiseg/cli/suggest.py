"""``semiseg suggest``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from semiseg.cli.shared import AsJson, Device, Run, app, command


@command(app, "suggest")
def suggest(
    run: Run,
    count: Annotated[int, typer.Option(help="How many images.")] = 20,
    by: Annotated[str, typer.Option(help="uncertainty, distance (from the memory bank) or both.")] = "both",
    diverse: Annotated[bool, typer.Option(help="Prefer images unlike those already chosen.")] = True,
    output: Annotated[Path | None, typer.Option(help="New folder for a list, a CSV file and a contact sheet.")] = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Rank unlabelled images by what a label would teach. Example: semiseg suggest runs/toy --count 6 --output next"""
    from semiseg.runtime.progress import CountingBar
    from semiseg.suggest import suggest as rank

    ranking: Any = by
    with CountingBar("images", shown=not as_json) as bar:
        found = rank(run, count, ranking, diverse, output, device, bar.update)
    if as_json:
        print(json.dumps([vars(suggestion) for suggestion in found], indent=1))
        return
    table = Table("", "image", "uncertainty", "distance from the bank")
    for number, s in enumerate(found, start=1):
        table.add_row(
            str(number), escape(s.name), f"{s.uncertainty:.3f}", "" if s.distance is None else f"{s.distance:.3f}"
        )
    Console().print(table)
    if output is not None:
        print(f"list, table and contact sheet in {output}")
