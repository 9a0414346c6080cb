"""``semiseg.evaluate`` and ``semiseg.predict``: the commands of the same names as functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from semiseg.data.run_data import check_classes, open_split
from semiseg.errors import UsageError
from semiseg.evaluation.confusion import EvaluationResult
from semiseg.evaluation.validation import validate
from semiseg.prediction.files import FailedImage, PredictedImage, PredictedVideo, predict_files
from semiseg.prediction.inputs import find_images
from semiseg.prediction.predictor import Predictor
from semiseg.prediction.tools import Wanted, check_tool, write_predicted
from semiseg.runs.begun import data_as_begun, trained_on
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
    """Evaluate a trained network on a split of the data set it was trained on, in single precision.

    Started by torchrun, the processes share the images and each returns the figures of the whole split.

    Args:
        run_or_checkpoint: a run folder, or one checkpoint file.
        split: ``val`` or ``train``, or another split the data set has.
        which: the ``last`` checkpoint of a run folder, or the ``best``, which was chosen on the validation set.
        teacher: evaluate the teacher instead of the student (section 4.2 reports the student).
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:0``.
        data_root: where the data is now, if it has moved since.

    Returns:
        ``.miou`` and ``.iou``, float64 (C,), as fractions in [0, 1], NaN for a class that neither masks nor predictions
        hold; ``.confusion``, int64 (C, C), rows truth.

    Raises:
        UsageError: no such device or split, or nothing says where the data is.
        SemisegError: no checkpoint, no teacher in it, no data, no mask in the split, a mask with a value that is no
            class, or data with other classes than the network's.
    """
    run_device = distributed.start(resolve_device(device))
    model = load_model(run_or_checkpoint, which, teacher, run_device)
    config = model.config
    if data_root is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"root": str(data_root)})})
    images = open_split(data_as_begun(config.data, model.facts), split)
    check_classes(images.info.classes, model.info.classes)
    if split != "train" and (seen := trained_on(model.path.parent.parent, images.names)):
        images.remark(f"{len(seen)} of {len(images)} images of {split} were trained on, e.g. {seen[0]}: figures look "
                      "better than they are")  # fmt: skip
    return validate(model.network, images, config, run_device, precision="fp32")


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
    tool: str | None = None,
    shapes: str | None = None,
    image_url: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> tuple[list[PredictedImage | PredictedVideo], list[FailedImage]]:
    """Segment images and videos; write masks, overlays and class shares at the size of each image.

    Into ``output`` go ``masks/`` (class indices), ``overlays/`` (colours; for a video, a video), ``confidence/``,
    ``shares.csv`` with a row for every image and, for every video, a file in ``shares/`` with a row for every frame.

    Args:
        run_or_checkpoint: a run folder, or one checkpoint file.
        images: a file, a folder, a glob, or several of them; videos must be named or matched by a glob.
        output: folder for the results; existing files are refused unless ``overwrite``.
        which: the ``best`` or the ``last`` checkpoint of a run folder.
        teacher: use the teacher instead of the student.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:0``.
        overlay: write the colour overlays too.
        overwrite: replace existing files.
        progress: called with (images and frames done, images and frames in all).
        confidence: write the probability of the class chosen as 8-bit grey images too.
        tile, overlap, flip, scales, scale: as :class:`semiseg.Predictor` takes them.
        every: take every ``every``-th frame of a video.
        tool: ``labelstudio``, ``cvat``, ``coco``, ``yolo`` or ``geojson``: write the masks of images as pre-annotations
            too, which that tool imports.
        shapes: of the pre-annotations, ``polygons`` or ``masks``; None: the tool's usual ones.
        image_url: for Label Studio, what stands before the path of an image; None: its own address of local files.
        tell: called with each line that says what to do with the pre-annotations.

    Returns:
        What was written, and the files that were skipped with the reason: they cannot be read or do not fit in memory.
        Of several processes (torchrun) each returns the images that it predicted.

    Raises:
        UsageError: no such device or tool, or a tile, overlap, scale or ``every`` that makes no sense.
        SemisegError: no checkpoint, no teacher in it, no image, two images that would be written to one file, results
            that exist already, or tiles without a ``scale`` where the training images are gone.
    """
    run_device = distributed.start(resolve_device(device))
    predictor = Predictor(
        run_or_checkpoint,
        which,
        teacher,
        str(run_device),
        tile=tile,
        overlap=overlap,
        flip=flip,
        scales=scales,
        scale=scale,
    )
    inputs, wanted = find_images(images), None if tool is None else Wanted(tool, shapes, image_url)
    if wanted is not None:
        check_tool(wanted, predictor.info, inputs, Path(output), overwrite)
    elif shapes is not None or image_url is not None:
        raise UsageError("--shapes and --image-url belong to --for; say for which tool, e.g. --for labelstudio")
    done = predict_files(
        predictor.network,
        predictor.info,
        inputs,
        output,
        overlay=overlay,
        device=run_device,
        plan=predictor.plan,
        overwrite=overwrite,
        progress=progress,
        across_processes=True,
        confidence=confidence,
        every=every,
        pixels=predictor.pixels,
        shown=predictor.config.data.shown,
    )
    if wanted is not None and distributed.is_main():
        for line in write_predicted(wanted, predictor.info, inputs, Path(output), str(run_or_checkpoint)):
            if tell is not None:
                tell(line)
    return done
