"""``config.yaml`` of a run, which may be edited in what changes no result: where the data lies, device, evaluation.

Every command that reads a checkpoint goes by it, and every one refuses another edit: a network has been trained with
what it has been trained with.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from semiseg.config.keys import FREE_ON_RESUME, MENDS_ON_RESUME, used_fields, value_of
from semiseg.config.read import Config, fields
from semiseg.errors import UsageError, value_shown
from semiseg.runs.folder import CONFIG

SHOWN = 3
"""Settings that are named of many that differ."""


def differences(trained: Config, now: Config) -> list[str]:
    """Keys whose values differ among those that may not: what the run has been trained with, method by method."""
    keys = used_fields(now, fields()).keys() - FREE_ON_RESUME - MENDS_ON_RESUME
    return [key for key in sorted(keys) if value_of(trained, key) != value_of(now, key)]


def as_edited(checkpoint: Path, trained: Config) -> Config:
    """The configuration of a checkpoint as the ``config.yaml`` of its run folder says it by now.

    Args:
        checkpoint: ``RUN/checkpoints/NAME.pt``; a file elsewhere stands by itself, as does a run without the file.
        trained: what the checkpoint says.

    Raises:
        UsageError: the file cannot be read, or was edited in what may not change.
    """
    path = checkpoint.parent.parent / CONFIG
    if checkpoint.parent.name != "checkpoints" or not path.is_file():
        return trained
    now = Config.load(path)
    changed = differences(trained, now)
    if not changed:
        return now
    told = ", ".join(
        f"{key} (trained with {value_shown(value_of(trained, key))}, now {value_shown(value_of(now, key))})"
        for key in changed[:SHOWN]
    )
    more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    raise UsageError(
        f"{path} was edited in what a run cannot change: {told}{more}; put it back, or train anew: semiseg train "
        f"{shlex.quote(str(path))}"
    )
