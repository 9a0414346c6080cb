"""What a training starts from: a preset, a file, a folder of images, or the folder of a run; and where it goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from semiseg import derived
from semiseg.config.keys import DESCRIPTION, FREE_ON_RESUME, MENDS_ON_RESUME, value_of
from semiseg.config.nested import leaves
from semiseg.config.read import Config, is_folder
from semiseg.data.run_data import RunData
from semiseg.errors import SemisegError, UsageError
from semiseg.presets import preset_names, read_plain
from semiseg.runs.folder import CONFIG, is_run, latest
from semiseg.runtime import distributed
from semiseg.runtime.device import resolve_device
from semiseg.runtime.shell import command_line
from semiseg.training.run_folder import claimed
from semiseg.training.warm_start import structure_words

RUNS = Path("runs")
"""Where runs go that are given no ``run_dir``."""

Settle = Callable[[RunData, torch.device], derived.Settled]
"""From data that can be trained on and a device to the complete configuration of a run on a folder."""


class Start(NamedTuple):
    """How a training starts.

    Attributes:
        config: as given; what follows from a folder is still missing.
        settle: what settles it; None where it is complete.
        base: the name of a run folder that gets the next free number; None where ``config.run_dir`` says it.
    """

    config: Config
    settle: Settle | None
    base: Path | None


def start_of(source: str | Path, words: Sequence[str], resume: bool, auto: bool) -> Start:
    """The configuration of ``source`` with ``words``; of a run that goes on, the rest is as in its ``config.yaml``.

    Args:
        source: preset, YAML file, folder of images, or run folder.
        words: ``section.key=value``.
        resume: go on with a run: the one whose folder is given, else the last one of this source.
        auto: as ``resume``, but a source without a run starts one.

    Raises:
        UsageError: as :meth:`Config.load`; a run folder without ``resume``; nothing to resume.
        SemisegError: the run whose weights it begins with has no checkpoint.
    """
    path, words = Path(source), list(words)
    run, is_file = _run_itself(path), path.suffix in (".yaml", ".yml")
    if run is not None and not is_file and not (resume or auto):
        again, anew = (command_line(["semiseg", "train", *words]) for words in ([run, "--resume"], [run / CONFIG]))
        raise UsageError(f"{run} is the folder of a run: {again} goes on with it, {anew} repeats it in a new folder")
    given_dir = any(word.startswith("run_dir=") for word in words)
    if run is not None and not given_dir and (resume or auto):
        return Start(Config.load(run / CONFIG, [_run_dir(run), *words]), None, None)
    config = Config.load(source, words)
    if config.network.warm_start is not None:  # the structure of its network is the other's, unless words say otherwise
        words = [*structure_words(config.network.warm_start), *words]
        config = Config.load(source, words)
    base = None if given_dir else _base(path, config, run)
    if resume or auto:
        there = Path(config.run_dir) if base is None else _last(path, config, base)
        if there is not None and (there / CONFIG).is_file():
            return Start(_resumed(source, words, config, there), None, None)
        if base is not None and resume:
            raise UsageError(
                f"--resume: no run of {source} in {base.parent}, so there is nothing to go on from; name the run's "
                "folder (semiseg train RUN --resume), or leave --resume out"
            )
    return Start(config, partial(derived.settle, source, words) if derived.derives(source, config) else None, base)


def with_own_folder(config: Config, base: Path) -> Config:
    """The configuration with the next free of ``base``, ``base-2``, …, which is made, and is the same in every process.

    Raises:
        UsageError: this process is not the first, which could not make it.
        OSError: it cannot be made.
    """
    distributed.start(resolve_device(config.training.device))
    return config.model_copy(update={"run_dir": str(claimed(base, distributed.is_main()))})


def _run_itself(path: Path) -> Path | None:
    """The run folder that is given, by itself or by its ``config.yaml``."""
    if str(path) in preset_names():
        return None
    folder = path.parent if path.name == CONFIG else path
    return folder if is_run(folder) else None


def _base(path: Path, config: Config, run: Path | None) -> Path | None:
    """The name that is numbered; None where a file says its own ``run_dir``, and is not that of a run."""
    if run is not None:
        return run
    if path.suffix in (".yaml", ".yml"):
        return None if "run_dir" in read_plain(path) else RUNS / path.stem
    if is_folder(path):
        return RUNS / (path.resolve().name or "folder")
    return Path(config.run_dir)


def _last(path: Path, config: Config, base: Path) -> Path | None:
    """The last run of a source, by number; one on a folder is known by its images, others by the preset's name.

    Runs on a folder were once called ``runs/folder``.
    """
    root = config.data.root

    def belongs(run: Path) -> bool:
        try:
            stored = Config.load(run / CONFIG)
        except SemisegError:
            return False
        if not is_folder(path):
            return stored.name == config.name
        return None not in (root, stored.data.root) and Path(str(stored.data.root)).resolve() == path.resolve()

    found = latest(base, belongs)
    if found is None and is_folder(path):
        found = latest(Path(config.run_dir), belongs)
    return found


def _resumed(source: str | Path, words: list[str], config: Config, run: Path) -> Config:
    """``source`` and ``words`` and, below what they say themselves, the run's ``config.yaml``: what changes no result
    and, for a folder, what was derived, which new masks or another device would change.

    Raises:
        UsageError: the file is wrong.
    """
    stored = Config.load(run / CONFIG)
    kept = (FREE_ON_RESUME | MENDS_ON_RESUME) - DESCRIPTION - {"run_dir"} - _said(Path(source))
    if derived.derives(source, config):
        kept |= {*derived.KEYS, "method.name"}  # the preset named another method once
    below = [f"{key}={json.dumps(value_of(stored, key))}" for key in sorted(kept)]
    return Config.load(source, [*below, *words, _run_dir(run)])


def _said(path: Path) -> set[str]:
    """Keys that a source says by itself."""
    if path.suffix in (".yaml", ".yml"):
        return set(leaves(read_plain(path)))
    return {"data.root"} if is_folder(path) else set()


def _run_dir(run: Path) -> str:
    return f"run_dir={json.dumps(str(run))}"
