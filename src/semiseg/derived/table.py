"""The derived settings as a table, for a terminal and for later: printed before step 0, stored in the run folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from semiseg.derived.choice import Row
from semiseg.runtime.files import write_text

FILE = "derived.json"


def show(rows: Sequence[Row], console: Console | None = None) -> None:
    """Print the rows, by default to stderr; the table fits 60 columns, and no value is cut."""
    table = Table(caption_justify="left", caption="each can be changed: section.key=value behind the folder")
    table.add_column("setting", no_wrap=True)
    table.add_column("value", no_wrap=True)
    table.add_column("reason")
    for row in rows:
        table.add_row(escape(row.setting), escape(row.text), escape(row.reason))
    (console or Console(stderr=True)).print(table)


def save(run_dir: Path, rows: Sequence[Row]) -> None:
    """Write the rows beside ``config.yaml``, which holds the values alone."""
    write_text(run_dir / FILE, json.dumps([row._asdict() for row in rows], indent=1) + "\n")


def stored(run_dir: Path) -> list[Row]:
    """The rows of a run; empty for one that did not start from a folder."""
    path = run_dir / FILE
    return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))] if path.is_file() else []
