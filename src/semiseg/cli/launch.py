"""``semiseg torchrun``."""

from __future__ import annotations

import typer

from semiseg.cli.shared import app, command
from semiseg.errors import UsageError


@command(app, "torchrun", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def torchrun(context: typer.Context) -> None:
    """PyTorch's torchrun with reports of one line. Example: semiseg torchrun --nproc-per-node 2 train toy_streets"""
    from semiseg.runtime.launcher import launch

    names = [registered.name for registered in app.registered_commands if registered.name != "torchrun"]
    first = next((i for i, word in enumerate(context.args) if word in names), None)
    if first is None:
        raise UsageError("name a command, e.g. semiseg torchrun --nproc-per-node 2 train toy_streets")
    launch(context.args[:first], context.args[first:])
