"""The command line: one function for each command. Errors are one line; exit code 2 for misuse, 1 for failure."""

from __future__ import annotations

import io
import sys

# Importing a module registers its commands, in the order `semiseg --help` shows them.
# isort: off
from semiseg.cli import training  # noqa: F401
from semiseg.cli import launch  # noqa: F401
from semiseg.cli import prediction  # noqa: F401
from semiseg.cli import suggest  # noqa: F401
from semiseg.cli import report  # noqa: F401
from semiseg.cli import export  # noqa: F401
from semiseg.cli import web  # noqa: F401
from semiseg.cli import presets  # noqa: F401
from semiseg.cli import experiments  # noqa: F401
from semiseg.cli import data  # noqa: F401

# isort: on
from semiseg.cli.shared import app

__all__ = ["app", "main"]


def main() -> None:
    """Entry point of the console script."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # stderr does so by itself: no name or dash ends a command that worked
        sys.stdout.reconfigure(errors="backslashreplace")
    app()
