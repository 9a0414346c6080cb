"""``semiseg train`` and ``semiseg evaluate``."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from semiseg.cli.shared import (
    AsJson,
    Checkpoint,
    Device,
    Overrides,
    Run,
    Teacher,
    app,
    command,
    which_checkpoint,
)
from semiseg.runtime.shell import command_line, path_word


@command(app, "train", context_settings={"ignore_unknown_options": True})  # which are answered
def train(
    source: Annotated[
        str,
        typer.Argument(
            metavar="PRESET_OR_FOLDER",
            help="A preset, a YAML file, a folder of images/ and masks/, or, with --resume, a run folder.",
        ),
    ],
    overrides: Overrides = None,
    warm_start: Annotated[
        str | None, typer.Option("--from", help="Begin with the weights of this run; its classes may be added to.")
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Continue a run: the one whose folder is given, else the last of this source.")
    ] = False,
    auto_resume: Annotated[
        bool, typer.Option("--auto-resume", help="Continue where there is a checkpoint, else start: for requeued jobs.")
    ] = False,
    quiet: Annotated[bool, typer.Option(help="No progress bar, no sentences.")] = False,
) -> None:
    """Train a network. Example: semiseg train toy_streets run_dir=runs/toy training.iterations=300"""
    from semiseg.config.other_tools import refuse_options
    from semiseg.runtime import distributed
    from semiseg.runtime.signals import Stopped
    from semiseg.training.advice.closing import closing
    from semiseg.training.loop import train as run_training

    refuse_options([source, *(overrides or [])], ["--resume", "--auto-resume", "--from", "--quiet", "--help"])
    words = [*([] if warm_start is None else [f"network.warm_start={warm_start}"]), *(overrides or [])]
    try:
        result = run_training(source, words, resume="auto" if auto_resume else resume, progress=not quiet)
    except Stopped as stop:
        options = {"--resume": resume, "--auto-resume": auto_resume}
        again_words = [path_word(source), *words, *(name for name, given in options.items() if given)]
        if stop.run is not None:  # what was given stands in its config.yaml
            again_words = [path_word(stop.run), "--resume" if stop.saved else "--auto-resume"]
        again = _again([*again_words, *(["--quiet"] if quiet else [])])
        raise Stopped(stop.signal, f"{stop}. To go on: {again}") from None
    if distributed.is_main():
        print(
            f"mIoU of the student: last {result.last_miou:.2f}, best {result.best_miou:.2f} "
            f"(iteration {result.best_iteration}); run in {result.run_dir}"
        )
        if not quiet:
            print("\n".join(closing(result.run_dir)))
    distributed.stop()


def _again(words: list[str]) -> str:
    """The command with which a training goes on, as it was started: by itself or by torchrun on one machine."""
    processes, here = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if processes > here:
        return "the same command on all machines, with --auto-resume"
    start = ["semiseg"] if processes == 1 else ["semiseg", "torchrun", "--nproc-per-node", str(processes)]
    return command_line([*start, "train", *words])


@command(app, "evaluate")
def evaluate(
    run: Run,
    split: Annotated[str, typer.Option(help="Split of the data set.")] = "val",
    checkpoint: Checkpoint = "last",
    teacher: Teacher = False,
    device: Device = "auto",
    data_root: Annotated[str | None, typer.Option(help="Where the data is now, if it has moved.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure IoU on a split. Example: semiseg evaluate runs/toy --split val --json"""
    from semiseg.api import evaluate as run_evaluation
    from semiseg.runtime import distributed

    result = run_evaluation(run, split, which_checkpoint(checkpoint), teacher, device, data_root)
    is_main = distributed.is_main()
    distributed.stop()
    if not is_main:
        return
    if as_json:
        print(json.dumps(result.to_json()))
        return
    which = f"{checkpoint} checkpoint, " if run.is_dir() else ""
    table = Table("class", "IoU %", title=escape(f"{run}, {split}, {which}{result.images} images"))
    for name, value in zip(result.classes, result.iou, strict=True):
        table.add_row(escape(name), "absent" if value != value else f"{100 * value:.2f}")
    table.add_row("mean", f"{100 * result.miou:.2f}", style="bold")
    Console().print(table)
