"""``semiseg.Predictor``: a trained network as a function of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from torch import Tensor

from semiseg.config.read import Config
from semiseg.data.base import IGNORE, Colour
from semiseg.data.rasters.configured import reader_of
from semiseg.data.run_data import open_split
from semiseg.errors import SemisegError, UsageError
from semiseg.inference.plan import InferencePlan, segment
from semiseg.prediction.class_shares import class_shares
from semiseg.prediction.inputs import as_image, content_missing
from semiseg.runs.checkpoint import load_model
from semiseg.runtime.device import resolve_device
from semiseg.visualise import as_rgb
from semiseg.visualise import overlay as blend


@dataclass(frozen=True, eq=False)
class Prediction:
    """A network's prediction for one image, at the size of the image."""

    image: np.ndarray = field(repr=False)
    """uint8 (H,W,3): the image as it was read, upright; other channels where the network takes others."""
    mask: np.ndarray = field(repr=False)
    """uint8 (H,W): classes 0…C-1, 255 where the file says that there is no content."""
    confidence: np.ndarray = field(repr=False)
    """float32 (H,W) in [0,1]: probability of the class chosen."""
    shares: dict[str, float]
    """Fraction of the pixels of every class."""
    colours: tuple[Colour, ...] = field(repr=False)
    shown: tuple[int, int, int] | None = field(default=None, repr=False)

    def overlay(self, alpha: float = 0.5) -> np.ndarray:
        """The colours of the classes over the image, uint8 (H,W,3), with opacity ``alpha``.

        Raises:
            UsageError: ``alpha`` outside [0,1].
        """
        return blend(as_rgb(self.image, self.shown), self.mask, self.colours, alpha)


class Predictor:
    """A trained network, loaded once, that predicts image after image.

    >>> predictor = Predictor("runs/toy", tile=512)             # doctest: +SKIP
    >>> predictor("photo.jpg").shares                           # doctest: +SKIP
    {'road': 0.41, 'building': 0.22, ...}

    Without ``tile``, ``flip`` and ``scales`` a prediction is the one that ``semiseg.evaluate`` measures. ``info`` has
    the classes and their colours, ``network`` is the module in evaluation mode, ``config`` the configuration of the run
    and ``plan`` the passes of an image.

    Args:
        run_or_checkpoint: a run folder, or one checkpoint file.
        which: the ``best`` or the ``last`` checkpoint of a run folder.
        teacher: the teacher instead of the student.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:0``.
        tile: side of blended tiles in pixels as the network sees them: bounded memory for images of any size.
        overlap: smallest fraction of a tile that it shares with its neighbour.
        flip: average with the prediction of the mirrored image.
        scales: average over sizes relative to the usual one.
        scale: with tiles, pixels that the network sees for one pixel of the image. None: as in training, that is 1, or
            what ``data.resize`` made of the training images, some of which are read to find out.

    Raises:
        SemisegError: no checkpoint, no teacher in it, or no training images to take the scale from.
        UsageError: no such device, or a tile, overlap or scale that makes no sense.
    """

    def __init__(
        self,
        run_or_checkpoint: str | Path,
        which: Literal["best", "last"] = "best",
        teacher: bool = False,
        device: str = "auto",
        *,
        tile: int | None = None,
        overlap: float = 0.25,
        flip: bool = False,
        scales: Sequence[float] = (1.0,),
        scale: float | None = None,
    ) -> None:
        if scale is not None and tile is None:
            raise UsageError("scale needs tile: whole images are seen at the size of the run's configuration")
        self.device = resolve_device(device)
        model = load_model(run_or_checkpoint, which, teacher, self.device)
        self.network, self.info, self.config = model.network, model.info, model.config
        self.pixels = reader_of(self.config.data)
        evaluation = self.config.evaluation
        factors = (1.0, 1.0)
        if tile is not None:
            factors = training_scale(self.config) if scale is None else (scale, scale)
        self.plan = InferencePlan(
            mode=evaluation.mode,
            window=self.config.window,
            stride=evaluation.stride,
            resize=self.config.data.resize,
            tile=tile,
            overlap=overlap,
            scale=factors,
            flip=flip,
            scales=tuple(float(s) for s in scales),
        )

    def __call__(self, image: str | Path | Image.Image | np.ndarray | Tensor) -> Prediction:
        """Predict one image: a path, a PIL image, uint8 (H,W,3) or (H,W), or a tensor (3,H,W), uint8 or in [0,1].

        A network of other channels takes (H,W,C) of any type that its run's ``data.intensity`` maps, or (C,H,W).

        Raises:
            SemisegError: a file that cannot be read.
            UsageError: anything else.
        """
        large = self.plan.tile is not None
        array = as_image(image, large, self.pixels, self.network.channels)
        mask, confidence = segment(self.network, array, self.plan, self.device)
        assert confidence is not None
        blank = content_missing(Path(image), large, self.pixels) if isinstance(image, (str, Path)) else None
        if blank is not None:
            mask[blank] = IGNORE
        shares = class_shares(mask, self.info.classes)
        return Prediction(array, mask, confidence, shares, self.info.colours, self.config.data.shown)


def training_scale(config: Config) -> tuple[float, float]:
    """Pixels that the network saw in training for one pixel of an image, vertically and horizontally.

    1 without ``data.resize``; with it, the median over some training images.

    Raises:
        SemisegError: the training images are not where they were.
    """
    if config.data.resize is None:
        return 1.0, 1.0
    try:
        images = open_split(config.data, "train")
        sample = {len(images) * i // 5 for i in range(5)}
        sizes = np.array([images.size_of(i) for i in sample])
    except (SemisegError, OSError) as error:
        raise SemisegError(
            f"tiles keep the scale of training, which resized images to {config.data.resize}, but the training "
            f"images are gone ({error}); give --scale (scale=), the pixels seen for one pixel of the image, e.g. 0.5"
        ) from error
    if isinstance(config.data.resize, int):  # proportions are kept, so both directions have one scale
        scale = float(np.median(config.data.resize / sizes.min(axis=1)))
        return scale, scale
    height, width = np.median(sizes, axis=0)
    return float(config.data.resize[0] / height), float(config.data.resize[1] / width)
