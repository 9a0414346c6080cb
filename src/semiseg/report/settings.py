"""Settings of the runs side by side: what differs from the defaults, and what between the runs."""

from __future__ import annotations

import platform
from dataclasses import dataclass

import torch

from semiseg import __version__
from semiseg.config.keys import DESCRIPTION, used_fields, value_of
from semiseg.config.read import Config, fields
from semiseg.report.charts import Cell, Table
from semiseg.report.facts import RunFacts


@dataclass(frozen=True)
class ComparedKey:
    """One key: its default, its value in every run, whether that is not the default, and whether the runs differ."""

    key: str
    default: str
    values: list[str]
    changed: list[bool]
    differs: bool


def compared_keys(runs: list[RunFacts]) -> list[ComparedKey]:
    """Every key that changes one of the runs, in the order of docs/configuration.md."""
    default = Config()
    read = {key for run in runs for key in used_fields(run.config, fields())}
    found = []
    for key in fields():
        if key in DESCRIPTION or key not in read:
            continue
        usual = value_of(default, key)
        values = [value_of(run.config, key) for run in runs]
        shown = [str(value) for value in values]
        found.append(ComparedKey(key, str(usual), shown, [value != usual for value in values], len(set(shown)) > 1))
    return found


def versions(runs: list[RunFacts]) -> Table:
    """Versions each run was trained with, as far as its summary says, and those of this report."""
    rows: list[list[Cell]] = []
    for run in runs:
        trained_with = run.summary.get("versions", {})
        rows.append([run.name, *(trained_with.get(name) for name in ("semiseg", "torch", "python"))])
    rows.append(["this report", __version__, torch.__version__, platform.python_version()])
    return Table(["", "semiseg", "torch", "Python"], rows)
