"""``semiseg.evaluate`` and ``semiseg.predict``: what the commands do, as functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from semiseg.data.run_data import check_classes, open_split
from semiseg.evaluation.confusion import EvaluationResult
from semiseg.evaluation.validation import validate
from semiseg.prediction.files import FailedImage, PredictedImage, PredictedVideo, predict_files
from semiseg.prediction.predictor import Predictor
from semiseg.runs.checkpoint import load_model
from semiseg.runtime import distributed
from semiseg.runtime.device import resolve_device


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
        SemisegError: no checkpoint or no data there, or data with other classes than the network's.
    """
    place = distributed.start(resolve_device(device))
    model = load_model(run_or_checkpoint, which, teacher, place)
    config = model.config
    if data_root is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"root": str(data_root)})})
    images = open_split(config.data, split)
    check_classes(images.info.classes, model.info.classes)
    return validate(model.network, images, config, place, precision="fp32")


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
    *,
    confidence: bool = False,
    tile: int | None = None,
    overlap: float = 0.25,
    flip: bool = False,
    scales: Sequence[float] = (1.0,),
    scale: float | None = None,
    every: int = 1,
) -> tuple[list[PredictedImage | PredictedVideo], list[FailedImage]]:
    """Segment images and videos; write masks, overlays and ``shares.csv`` at the images' own size.

    `output` gets ``masks/`` (class indices), ``overlays/`` (colours; of a video, a video), ``confidence/``, a row of
    ``shares.csv`` for every image and ``shares/`` with a row for every frame of a video.

    Args:
        run_or_checkpoint: a run folder, or one checkpoint file.
        images: a file, a folder, a glob, or several of them; videos are named or matched by a glob.
        output: folder for the results; existing files are refused unless ``overwrite``.
        which: checkpoint of a run folder.
        teacher: use the teacher's weights.
        device: ``auto``, ``cpu``, ``cuda``.
        overlay: write the colour overlays too.
        overwrite: replace existing files.
        progress: called with (images and frames done, in all).
        confidence: write the probability of the class chosen as 8-bit grey images too.
        tile, overlap, flip, scales, scale: as :class:`semiseg.Predictor` takes them.
        every: of a video, take every so many frames.

    Returns:
        What was written, and the files that could not be read, with the reason; of several processes (torchrun) each
        returns its own share.

    Raises:
        SemisegError: no checkpoint, no image, or results that exist already.
        UsageError: values that make no sense.
    """
    place = distributed.start(resolve_device(device))
    predictor = Predictor(
        run_or_checkpoint, which, teacher, str(place), tile=tile, overlap=overlap, flip=flip, scales=scales, scale=scale
    )
    return predict_files(
        predictor.network,
        predictor.info,
        images,
        output,
        overlay=overlay,
        device=place,
        passes=predictor.passes,
        overwrite=overwrite,
        progress=progress,
        across_processes=True,
        confidence=confidence,
        every=every,
    )
