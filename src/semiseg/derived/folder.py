"""From a folder to the configuration of a run on it: below the words that are given, above the preset ``folder``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from semiseg.config.keys import value_of
from semiseg.config.read import Config, is_folder
from semiseg.cost.run import count_run
from semiseg.data.layouts.places import is_divided
from semiseg.data.run_data import RunData
from semiseg.derived.choice import Row
from semiseg.derived.facts import Facts
from semiseg.derived.read import read_facts
from semiseg.derived.settings import FOLD, KEYS, derive
from semiseg.runtime.device import resolve_device

Words = Sequence[str]


class Settled(NamedTuple):
    """A complete configuration, the facts it follows from, and a row for each setting that was derived or given."""

    config: Config
    facts: Facts
    rows: list[Row]


def derives(source: str | Path, config: Config) -> bool:
    """Whether settings follow from the images: for a folder, but no preset and no file, which say all themselves."""
    return is_folder(source) and config.data.dataset == "folder"


def settle(source: str | Path, words: Words, data: RunData, device: torch.device) -> Settled:
    """The settings of a new run on a folder.

    Args:
        source: the folder.
        words: ``section.key=value`` as given; they go before what is derived.
        data: opened and checked.
        device: where the run trains.

    Raises:
        SemisegError: no image can be read, or the network cannot be built.
    """
    config = Config.load(source, list(words))
    said = _keys(words)
    given = {key: value_of(config, key) for key in KEYS if key in said}
    if "fold" in config.data.options:
        given[FOLD] = config.data.options["fold"]
    facts = read_facts(data, device, is_divided(Path(str(config.data.root))))
    facts = replace(facts, joint=_joint(config, facts.classes))
    rows = derive(facts, given)
    derived = [f"{row.setting}={json.dumps(row.value)}" for row in rows if row.setting in KEYS]
    return Settled(Config.load(source, [*derived, *words]), facts, rows)


def as_trained(source: str | Path, words: Words, data: RunData) -> Config:
    """The configuration with which ``semiseg train`` would start, for commands that look ahead.

    A GPU that is named need not be in this machine; then a small one is reckoned with.

    Raises:
        UsageError: a word is wrong, or names no device.
        SemisegError: no image can be read.
    """
    config = Config.load(source, list(words))
    if not derives(source, config):
        return config
    name = config.training.device
    device = torch.device("cuda") if name.startswith("cuda") else resolve_device(name)
    return settle(source, words, data, device).config


def _joint(config: Config, classes: int) -> int:
    t = config.training
    return count_run(config, classes).crops // (t.batch_size * t.accumulation) if t.passes == "joint" else 1


def _keys(words: Words) -> set[str]:
    return {word.partition("=")[0] for word in words}
