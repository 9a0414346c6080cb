"""``semiseg suggest``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from semiseg.cli.annotation import For, ImageUrl, Shapes, say
from semiseg.cli.shared import AsJson, Device, Run, app, command
from semiseg.errors import UsageError


@command(app, "suggest")
def suggest(
    run: Run,
    count: Annotated[int, typer.Option(help="How many images.")] = 20,
    by: Annotated[
        str, typer.Option(help="uncertainty, distance (from the bank), both, or coverage (typical images).")
    ] = "both",
    diverse: Annotated[bool, typer.Option(help="Choose uncertain images that differ, none of one scene.")] = True,
    of_class: Annotated[
        str | None, typer.Option("--class", help="Rank by one class: images that likely, or perhaps, show it.")
    ] = None,
    scenes: Annotated[
        str | None,
        typer.Option(help=r"Regular expression of the scene in a name, e.g. '^(.+)_\d+$'; at most one image of each."),
    ] = None,
    tool: For = None,
    shapes: Shapes = None,
    image_url: ImageUrl = None,
    output: Annotated[Path | None, typer.Option(help="New folder for a list, a CSV file and a contact sheet.")] = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Rank unlabelled images by what a label would teach. Example: semiseg suggest runs/toy --count 6 --output next"""
    from semiseg.prediction.tools import Wanted
    from semiseg.runtime.progress import CountingBar
    from semiseg.suggest import suggest as rank

    ranking: Any = by
    if tool is None and (shapes is not None or image_url is not None):
        raise UsageError("--shapes and --image-url belong to --for; say for which tool, e.g. --for labelstudio")
    wanted = None if tool is None else Wanted(tool, shapes, image_url)
    told: list[str] = []
    with CountingBar("images", shown=not as_json) as bar:
        found = rank(
            run, count, ranking, diverse, output, device, bar.update, of_class=of_class, scenes=scenes, wanted=wanted,
            tell=told.append,
        )  # fmt: skip
    if as_json:
        print(json.dumps([vars(suggestion) for suggestion in found], indent=1, default=str))
        return
    last = "distance from the bank" if of_class is None else f"share of {escape(of_class)}"
    table = Table("", "image", "uncertainty", last)
    for number, s in enumerate(found, start=1):
        value = s.distance if of_class is None else s.class_share
        table.add_row(str(number), escape(s.name), f"{s.uncertainty:.3f}", "" if value is None else f"{value:.3f}")
    Console().print(table)
    if len(found) < count:
        print(f"{len(found)} of {count} images: " + ("no more scenes" if scenes else "no more without a mask"))
    if output is not None:
        print(f"list, table and contact sheet in {output}")
        say(told)
