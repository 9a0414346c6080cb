"""``config.yaml`` of a run, which may be edited in what changes no result: where the data lies, device, evaluation.

Every command that reads a checkpoint goes by it, and every one refuses another edit: a network has been trained with
what it has been trained with.
"""

from __future__ import annotations

from pathlib import Path

from semiseg.config.keys import FREE_ON_RESUME, MEASURED, MENDS_ON_RESUME, used_fields, value_of
from semiseg.config.nested import set_key
from semiseg.config.profiles import filled_in
from semiseg.config.read import Config, fields
from semiseg.errors import UsageError, value_shown
from semiseg.runs.folder import CONFIG
from semiseg.runtime.shell import command_line

SHOWN = 3
"""Settings that are named of many that differ."""


def differences(trained: Config, now: Config) -> list[str]:
    """Keys whose values differ among those that may not: what the run has been trained with, method by method."""
    # What a profile fills in is compared, not its name.
    keys = used_fields(now, fields()).keys() - FREE_ON_RESUME - MENDS_ON_RESUME - {"method.profile"}
    if value_of(now, MEASURED) is None:
        keys -= {MEASURED}
    return [key for key in sorted(keys) if value_of(trained, key) != value_of(now, key)]


def as_begun(config: Config, saved: Config) -> Config:
    """``config`` without what its profile filled in, where the run began with the usual value: as runs did before
    profiles filled in anything for other methods than the paper's."""
    known, method = fields(), config.method
    filled = filled_in({"profile": method.profile, "name": method.name})
    kept = {
        key: value_of(saved, key)
        for key in filled.keys() & used_fields(config, known).keys()
        if value_of(config, key) == filled[key] != value_of(saved, key) == known[key].default
    }
    if method.profile == "reference" or method.name != saved.method.name or not kept:
        return config
    values = config.model_dump(mode="json")
    for key, value in kept.items():
        set_key(values, key, value)
    return Config.parse(values)


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
    now = as_begun(Config.load(path), trained)
    changed = differences(trained, now)
    if not changed:
        return now
    told = ", ".join(
        f"{key} (trained with {value_shown(value_of(trained, key))}, now {value_shown(value_of(now, key))})"
        for key in changed[:SHOWN]
    )
    more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    raise UsageError(
        f"{path} was edited in what a run cannot change: {told}{more}; put it back, or train anew: "
        f"{command_line(['semiseg', 'train', path])}"
    )
