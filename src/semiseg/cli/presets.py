"""``semiseg presets`` and ``semiseg settings``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from semiseg.cli.shared import AsJson, app, command
from semiseg.errors import UsageError

BESIDE = 36
"""Columns that a title wants beside a preset's name; with fewer it stands below the name."""


@command(app, "presets")
def presets(as_json: AsJson = False) -> None:
    """List the presets. Example: semiseg presets --json"""
    from semiseg.presets import list_presets

    rows = list_presets()
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    console = Console(highlight=False)
    console.print("semiseg train PRESET\n")
    tables: dict[str | None, list[dict[str, Any]]] = {}
    for row in rows:
        tables.setdefault(row["table"], []).append(row)
    for row in tables.pop(None, []):
        console.print(f"[bold]{row['name']}[/bold]")
        console.print(Padding(f"{escape(row['title'])}\n[dim]needs {escape(row['needs'])}[/dim]", (0, 0, 0, 4)))
    for number, of_table in tables.items():
        needs = dict.fromkeys(row["needs"] for row in of_table)
        console.print(f"\n[bold]Table {number}[/bold], the paper's mIoU in %; needs {escape('; '.join(needs))}")
        _print_table(console, of_table)


def _print_table(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """Name, figure and title of each preset, side by side where the console is wide enough."""
    figures = ["" if row["paper_miou"] is None else f"{row['paper_miou']:.1f}" for row in rows]
    longest = max(len(row["name"]) for row in rows)
    if console.width < longest + 10 + BESIDE:
        for row, figure in zip(rows, figures, strict=True):
            console.print(f"{row['name']}  {figure}")
            console.print(Padding(f"[dim]{escape(row['title'])}[/dim]", (0, 0, 0, 4)))
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_column()
    for row, figure in zip(rows, figures, strict=True):
        grid.add_row(row["name"], figure, escape(row["title"]))
    console.print(grid)


@command(app, "settings")
def settings(
    word: Annotated[str, typer.Argument(help="Part of a key or of its meaning; default: all settings.")] = "",
    as_json: AsJson = False,
) -> None:
    """Every section.key=value with its default and meaning. Example: semiseg settings teacher"""
    from semiseg.config.read import fields
    from semiseg.config.table import list_keys
    from semiseg.errors import did_you_mean

    rows = list_keys(word)
    if not rows:
        raise UsageError(f"no setting mentions {word!r}{did_you_mean(word, list(fields()))}")
    if as_json:
        print(json.dumps([row._asdict() for row in rows], indent=1))
        return
    console = Console(highlight=False)
    for row in rows:  # not in a table, which would cut long keys
        console.print(f"[bold]{row.key}[/bold] = {escape(row.default)}   [dim]({escape(row.kind)})[/dim]")
        console.print(Padding(escape(row.meaning), (0, 0, 0, 4)))
