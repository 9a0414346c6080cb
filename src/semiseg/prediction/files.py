"""Images and videos in; masks, overlays, confidence and class shares out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from semiseg.data.rasters.reader import PixelReader
from semiseg.errors import SemisegError, UsageError
from semiseg.inference.plan import InferencePlan, segment
from semiseg.prediction.class_shares import SharesTable
from semiseg.prediction.inputs import find_images, is_video, read_image
from semiseg.prediction.job import Job, Skipped
from semiseg.prediction.outputs import Targets, refuse_clashes
from semiseg.prediction.results import FailedImage, PredictedImage, PredictedVideo
from semiseg.runtime import distributed

if TYPE_CHECKING:
    from semiseg.data.base import DatasetInfo, Resize

__all__ = [
    "FailedImage",
    "PredictedImage",
    "PredictedVideo",
    "find_images",
    "predict_array",
    "predict_files",
    "read_image",
]


def predict_array(
    network: nn.Module,
    image: np.ndarray,
    mode: str = "whole",
    window: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
    device: torch.device | str | None = None,
    precision: str = "fp32",
    resize: Resize | None = None,
) -> np.ndarray:
    """Classes of one image: uint8 (H,W,3) RGB -> uint8 (H,W). ``device`` moves the network.

    With ``resize`` (height and width, or the small side) the network sees the image at the size it was trained on; the
    logits are brought back to the size of the image. Arguments and errors are those of ``InferencePlan`` and
    ``segment``.
    """
    plan = InferencePlan(mode, window, stride, precision, resize)
    return segment(network, image, plan, device, confidence=False)[0]


def predict_files(
    network: nn.Module,
    info: DatasetInfo,
    paths: str | Path | Iterable[str | Path],
    output: str | Path,
    overlay: bool = True,
    device: torch.device | str | None = None,
    plan: InferencePlan | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    across_processes: bool = False,
    confidence: bool = False,
    every: int = 1,
    pixels: PixelReader | None = None,
    shown: tuple[int, int, int] | None = None,
) -> tuple[list[PredictedImage | PredictedVideo], list[FailedImage]]:
    """Write masks, overlays, confidence and class shares of images and videos into the folder ``output``.

    An image becomes ``masks/STEM.png`` at the size of the image, a palette PNG whose values are those of the training
    masks (``info.values``) and whose palette is ``info.colours``, and a row of ``shares.csv``. Pixels that the file
    says are no content (transparent, no data) are 255 and count for no class. A GeoTIFF becomes ``masks/STEM.tif``, see
    :func:`~semiseg.prediction.geotiff.predict_geotiff`. A video becomes ``shares/STEM.csv``.

    Args:
        network: images (B,3,H,W) float32 in [0,1] -> an output with ``logits`` (B,C,h,w).
        info: names and colours of its classes.
        paths: what :func:`find_images` takes.
        output: the folder, which is made where it does not exist.
        overlay: write ``overlays/STEM.png`` too, or ``overlays/STEM.mp4`` of a video.
        device: where the network is moved to; None leaves it where it is.
        plan: the passes of each image; None: one over the whole image.
        overwrite: replace existing files.
        progress: called with (images and frames done, images and frames in all); those skipped count too.
        across_processes: every process predicts its share of the inputs and returns that; ``shares.csv`` is of all.
        confidence: write ``confidence/STEM.png`` too, 8-bit grey, 255 for certain.
        every: take every ``every``-th frame of a video.
        pixels: reads images of other channels than red, green and blue, or of more than 8 bits.
        shown: which of their channels overlays show, see :func:`semiseg.visualise.as_rgb`.

    Returns:
        What was predicted, and what was skipped since it cannot be read or does not fit in memory.

    Raises:
        UsageError: an ``every`` below 1.
        SemisegError: no input; before the first forward pass, two inputs that would share an output file, an output
            file that exists (without ``overwrite``) or is itself an input; or a network that does not fit ``info``.
    """
    if every < 1:
        raise UsageError(f"every={every}: give 1 for all frames, 2 for every second one")
    inputs, folder, plan = find_images(paths), Path(output), plan or InferencePlan()
    targets = [Targets.of(folder, path, overlay, confidence) for path in inputs]
    table_path = None if all(is_video(path) for path in inputs) else folder / "shares.csv"
    refuse_clashes(inputs, targets, table_path, overwrite)
    order = [str(path) for path in inputs]
    if across_processes:
        distributed.barrier()  # every process has looked for existing files before the first one writes
        share = slice(distributed.rank(), None, distributed.world())
        inputs, targets = inputs[share], targets[share]
    try:
        for made in {folder, *(path.parent for target in targets for path in target.all)}:
            made.mkdir(parents=True, exist_ok=True)
        table = None if table_path is None else SharesTable(table_path, info.classes, across_processes=across_processes)
    except OSError as error:
        raise SemisegError(f"cannot make the output folder {folder}: {error.strerror or error}") from error
    job = Job(network, info, plan, device, every, pixels, shown)
    predicted: list[PredictedImage | PredictedVideo] = []
    failed: list[FailedImage] = []
    job.count(inputs, progress)
    for path, target in zip(inputs, targets, strict=True):
        try:
            found = job.video(path, target) if is_video(path) else job.image(path, target)
        except Skipped as skipped:
            failed.append(FailedImage(path, str(skipped)))
        else:
            predicted.append(found)
            if table is not None and isinstance(found, PredictedImage):
                table.add((path,), found.shares)
        job.finished(path)
    if table is not None:
        table.join(order)
    return predicted, failed
