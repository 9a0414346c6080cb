"""``semiseg export``, ``semiseg push`` and ``semiseg pull``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli.shared import Checkpoint, Run, Teacher, app, command, which_checkpoint

Repository = Annotated[str, typer.Argument(metavar="USER/NAME", help="Repository on the Hugging Face hub.")]


@command(app, "export")
def export(
    run: Run,
    output: Annotated[Path, typer.Option(help="File to write; FILE.md beside it says how to use it.")],
    format: Annotated[str, typer.Option(help="onnx, torch (a torch.export program) or safetensors.")] = "onnx",
    checkpoint: Checkpoint = "best",
    teacher: Teacher = False,
    overwrite: Annotated[bool, typer.Option(help="Replace existing files.")] = False,
) -> None:
    """Write a network for other programs. Example: semiseg export runs/toy --format onnx --output toy.onnx"""
    from semiseg.export import export as write
    from semiseg.runtime.progress import CountingBar

    with CountingBar("export") as bar:
        path = write(run, output, format, which_checkpoint(checkpoint), teacher, overwrite, bar.update)
    print(f"{path} ({path.stat().st_size / 2**20:.1f} MiB), described in {path}.md")


@command(app, "push")
def push(
    run: Run,
    repository: Repository,
    checkpoint: Checkpoint = "best",
    teacher: Teacher = False,
    private: Annotated[bool, typer.Option(help="Make a new repository private.")] = False,
) -> None:
    """Upload a network to the Hugging Face hub. Example: semiseg push runs/toy USER/toy --private"""
    from semiseg.export.hub import push as upload

    print(upload(run, repository, which_checkpoint(checkpoint), teacher, private))


@command(app, "pull")
def pull(
    repository: Repository,
    output: Annotated[Path, typer.Option(help="New folder; every command takes it in place of a run.")],
) -> None:
    """Download a network from the hub. Example: semiseg pull USER/toy --output toy"""
    from semiseg.export.hub import pull as download

    print(download(repository, output))
