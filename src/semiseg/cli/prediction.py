"""``semiseg predict``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import SemisegError
from .shared import Checkpoint, Device, Run, Teacher, app, command, which_checkpoint


@command(app, "predict")
def predict(
    run: Run,
    images: Annotated[list[Path], typer.Argument(help="Image files, folders or globs.")],
    output: Annotated[Path, typer.Option(help="Folder for masks/ and overlays/.")],
    checkpoint: Checkpoint = "best",
    teacher: Teacher = False,
    device: Device = "auto",
    overlays: Annotated[bool, typer.Option(help="Write colour overlays.")] = True,
    overwrite: Annotated[bool, typer.Option(help="Replace existing results.")] = False,
) -> None:
    """Segment images. Example: semiseg predict runs/toy photos/ --output predictions/"""
    from .. import distributed
    from ..api import predict as run_prediction

    written, failed = run_prediction(
        run, images, output, which_checkpoint(checkpoint), teacher, device, overlay=overlays, overwrite=overwrite
    )
    for failure in failed:
        print(f"semiseg: skipped {failure.path}: {failure.reason}", file=sys.stderr)
    done, skipped = distributed.sums(len(written), len(failed))
    if distributed.is_main():
        print(f"{done} images segmented into {output}, {skipped} skipped")
    distributed.stop()
    if not done:
        raise SemisegError("no image could be read; nothing was predicted")
