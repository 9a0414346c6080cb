"""``semiseg.evaluate`` and ``semiseg.predict``: what the commands do, as functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from . import distributed
from .data.run_data import open_split
from .evaluation import EvaluationResult
from .prediction import FailedImage, PredictedImage, predict_files
from .training.checkpoint import load_model
from .training.optimisation import resolve_device
from .training.validation import validate


def evaluate(
    run_or_checkpoint: str | Path,
    split: str = "val",
    which: Literal["best", "last"] = "last",
    teacher: bool = False,
    device: str = "auto",
    data_root: str | Path | None = None,
) -> EvaluationResult:
    """Evaluate a trained network on a split of the data set it was trained on.

    Args:
        run_or_checkpoint: a run folder, or one checkpoint file.
        split: ``val`` or ``train``, or another split the data set has.
        which: the ``last`` checkpoint of a run folder, or the ``best`` one, which the validation set chose.
        teacher: evaluate the teacher instead of the student (section 4.2 reports the student).
        device: ``auto``, ``cpu``, ``cuda``.
        data_root: where the data lies now, if it has moved since.

    Returns:
        ``.miou``, ``.iou`` (C,) as fractions in [0, 1] and ``.confusion`` (C, C), rows truth.

    Raises:
        SemisegError: no checkpoint or no data there.
    """
    place = distributed.start(resolve_device(device))
    model = load_model(run_or_checkpoint, which, teacher, place)
    config = model.config
    if data_root is not None:
        config.data.root = str(data_root)
    return validate(model.network, open_split(config.data, split), config, place)


def predict(
    run_or_checkpoint: str | Path,
    images: str | Path | Iterable[str | Path],
    output: str | Path,
    which: Literal["best", "last"] = "best",
    teacher: bool = False,
    device: str = "auto",
    overlay: bool = True,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[PredictedImage], list[FailedImage]]:
    """Segment images and write ``masks/`` (class indices) and ``overlays/`` (colours) at the images' own size.

    Args:
        run_or_checkpoint: a run folder, or one checkpoint file.
        images: a file, a folder, a glob, or several of them.
        output: folder for the results; existing files are refused unless ``overwrite``.
        which: checkpoint of a run folder.
        teacher: use the teacher's weights.
        device: ``auto``, ``cpu``, ``cuda``.
        overlay: write the colour overlays too.
        overwrite: replace existing files.
        progress: called with (images done, images in all).

    Returns:
        What was written, and the files that could not be read, with the reason; of several processes (torchrun) each
        returns its own share.

    Raises:
        SemisegError: no checkpoint, no image, or results that exist already.
    """
    place = distributed.start(resolve_device(device))
    model = load_model(run_or_checkpoint, which, teacher, place)
    crop = model.config.data.crop
    window = model.config.evaluation.window or ((crop, crop) if isinstance(crop, int) else crop)
    return predict_files(
        model.network,
        model.info,
        images,
        output,
        overlay=overlay,
        device=place,
        mode=model.config.evaluation.mode,
        window=window,
        stride=model.config.evaluation.stride,
        overwrite=overwrite,
        progress=progress,
        resize=model.config.data.resize,
        across_processes=True,
    )
