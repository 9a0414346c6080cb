"""The settings that all runs of a comparison share: derived once, stored beside the results, and held from then on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from semiseg.config.keys import FREE_ON_RESUME, value_of
from semiseg.config.profiles import equal as equal_keys
from semiseg.config.read import Config, fields, is_folder
from semiseg.data.run_data import open_run_data, open_split
from semiseg.derived import as_trained
from semiseg.errors import UsageError
from semiseg.experiments.comparison.recipes import recipe
from semiseg.experiments.comparison.request import SETTINGS, Request
from semiseg.runtime.shell import command_line, path_word

ROOTS = ("data.root", "data.source.root")


def with_settings(request: Request, words: list[str], counted: bool, profile: str) -> Request:
    """The settings of all runs in a file beside the results, derived where ``source`` is a folder."""
    path = request.output / SETTINGS
    stored = Config.load(path) if path.exists() else None
    first = [f"method.name={request.methods[0] if stored is None else stored.method.name}", *words]
    config = Config.load(request.source, first)
    if config.method.profile == "paper":  # which fills in what belongs to the first method: no other may have it
        first.append("method.profile=equal")
        config = Config.load(request.source, first)
    _check_counts(request.labelled, config)
    if is_folder(request.source):
        config = as_trained(request.source, first, open_run_data(config.data))
    if config.training.iterations < 1:
        raise UsageError("training.iterations=0 trains nothing")
    source = request.source
    if stored is not None:
        free = {"method.name", "method.profile", "run_dir", *FREE_ON_RESUME}
        if stored.method.profile == "paper":  # of an earlier version, which had no equal: its runs go on as they began
            free |= equal_keys().keys()
        differ = [key for key in fields() if key not in free and value_of(stored, key) != value_of(config, key)]
        differ += [key for key in ROOTS if _place(stored, key) != _place(config, key)]
        if differ:
            raise UsageError(
                f"the runs in {request.output} were made with other settings ({', '.join(differ[:5])}); give them "
                "again, or choose another --output"
            )
        said = {word.partition("=")[0] for word in words} & FREE_ON_RESUME - {"run_dir"}
        renewed = Config.parse(stored.model_dump(mode="json"), [f"{key}={json.dumps(value_of(config, key))}" for key in
                                                                sorted(said)])  # fmt: skip
        if renewed != stored:
            renewed.save(path)
    else:
        request.output.mkdir(parents=True, exist_ok=True)
        config.save(path)
    if is_folder(source):
        source = str((stored or config).data.root)  # its rows name it alike, however it is written
    labelled = request.labelled if counted else (str(config.data.labelled),)
    own = {m: recipe(request.source, m, words) for m in request.methods} if profile == "paper" else None
    typed = _typed(request, words, counted, profile)
    return replace(request, source=source, labelled=labelled, recipes=own, typed=typed)


def _typed(request: Request, words: list[str], counted: bool, profile: str) -> str:
    """What to type for the runs that are asked for, but for the methods."""
    options = {"--labelled": request.labelled if counted else (), "--seeds": request.seeds, "--equal": request.equal}
    given = [part for name, values in options.items() if values for part in (name, ",".join(map(str, values)))]
    given += ["--profile", "paper"] if profile == "paper" else []
    return command_line(["semiseg", "compare", path_word(request.source), *words, *given, "--output", request.output])


def _check_counts(labelled: Sequence[str], config: Config) -> None:
    """Refuse more labelled images than there are masks before anything is trained.

    Raises:
        UsageError: names the number, and how many there are.
        SemisegError: the data cannot be read.
    """
    counts = [int(count) for count in labelled if count != "all"]
    if not counts:
        return
    train = open_split(config.data, "train")
    there = sum(train.has_label(i) for i in range(len(train)))
    if wrong := [count for count in counts if not 0 < count <= there]:
        raise UsageError(
            f"--labelled {wrong[0]}: {there} training images have a mask; give numbers from 1 to {there}, or all"
        )


def _place(config: Config, key: str) -> Path | None:
    """The folder that a setting names, however it is written."""
    root = value_of(config, key)
    return None if root is None else Path(root).resolve()
