"""``semiseg predict``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli.annotation import For, ImageUrl, Shapes, say
from semiseg.cli.shared import Checkpoint, Device, Run, Teacher, app, command, which_checkpoint
from semiseg.errors import SemisegError, UsageError


@command(app, "predict")
def predict(
    run: Run,
    images: Annotated[list[Path], typer.Argument(help="Image files, folders or globs; video files or globs.")],
    output: Annotated[Path, typer.Option(help="Folder for masks/, overlays/ and shares.csv.")],
    checkpoint: Checkpoint = "best",
    teacher: Teacher = False,
    device: Device = "auto",
    overlays: Annotated[bool, typer.Option(help="Write colour overlays.")] = True,
    confidence: Annotated[bool, typer.Option("--confidence", help="Write confidence/, 8-bit grey.")] = False,
    tile: Annotated[int | None, typer.Option(help="Blended tiles of this side, for large images.")] = None,
    overlap: Annotated[float, typer.Option(help="Fraction of a tile that it shares with its neighbour.")] = 0.25,
    scale: Annotated[
        float | None, typer.Option(help="In tiles: pixels seen for one of the image; default: as in training.")
    ] = None,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored image.")] = False,
    scales: Annotated[str, typer.Option(help="Average over sizes, e.g. 0.75,1,1.25.")] = "1",
    every: Annotated[int, typer.Option(help="Predict every n-th frame of a video.")] = 1,
    tool: For = None,
    shapes: Shapes = None,
    image_url: ImageUrl = None,
    overwrite: Annotated[bool, typer.Option(help="Replace existing results.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Segment images. Example: semiseg predict runs/toy photos/ --output predictions/"""
    from semiseg.api import predict as run_prediction
    from semiseg.runtime import distributed
    from semiseg.runtime.progress import CountingBar

    try:
        factors = [float(factor) for factor in scales.split(",")]
    except ValueError:
        raise UsageError(f"--scales {scales!r} is no list of numbers; write e.g. --scales 0.75,1,1.25") from None
    told: list[str] = []
    with CountingBar("images", shown=not quiet) as bar:
        written, failed = run_prediction(
            run, images, output, which_checkpoint(checkpoint), teacher, device, overlay=overlays, overwrite=overwrite,
            progress=bar.update, confidence=confidence, tile=tile, overlap=overlap, flip=flip, scales=factors,
            scale=scale, every=every, tool=tool, shapes=shapes, image_url=image_url, tell=told.append,
        )  # fmt: skip
    for failure in failed:
        print(f"semiseg: skipped {failure.path}: {failure.reason}", file=sys.stderr)
    videos = sum(hasattr(found, "frames") for found in written)
    done, films, skipped = distributed.sums(len(written) - videos, videos, len(failed))
    if distributed.is_main():
        and_videos = f" and {films} videos" if films else ""
        print(f"{done} images{and_videos} segmented into {output}, {skipped} skipped")
        say(told)
    distributed.stop()
    if not done + films:
        raise SemisegError("no image could be read; nothing was predicted")
