"""One input after the other: an image, a georeferenced picture or a video becomes its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import nn

from semiseg.data.base import IGNORE
from semiseg.data.rasters.intensity import PixelSettings
from semiseg.data.rasters.reader import PixelReader
from semiseg.errors import SemisegError, UsageError
from semiseg.inference.plan import InferencePlan, channels_of, out_of_memory, segment
from semiseg.prediction.class_shares import class_shares
from semiseg.prediction.geotiff import predict_geotiff
from semiseg.prediction.inputs import content_missing, is_video, read_image
from semiseg.prediction.outputs import Targets, as_grey, save_png
from semiseg.prediction.results import PredictedImage, PredictedVideo
from semiseg.prediction.stored import mask_picture
from semiseg.prediction.video import frame_count, predict_video
from semiseg.visualise import as_rgb
from semiseg.visualise import overlay as blend

if TYPE_CHECKING:
    from semiseg.data.base import DatasetInfo


class Skipped(Exception):
    """One input cannot be predicted; the others still can."""


class NetworkError(SemisegError):
    """The network has other classes than the data set: no input can be predicted."""


class Job:
    """What all inputs share, and the progress made."""

    def __init__(
        self, network: nn.Module, info: DatasetInfo, plan: InferencePlan, device: torch.device | str | None, every: int,
        pixels: PixelReader | None, shown: tuple[int, int, int] | None,
    ) -> None:  # fmt: skip
        self.pixels, self.shown = pixels, shown
        self.network, self.info, self.plan, self.device, self.every = network, info, plan, device, every
        self.units: dict[Path, int] = {}
        self.total = 0
        self.progress: Callable[[int, int], None] | None = None
        self.before = self.frames = 0

    def count(self, inputs: Sequence[Path], progress: Callable[[int, int], None] | None) -> None:
        self.progress = progress
        for path in inputs:
            self.units[path] = self._frame_count(path) if is_video(path) and progress is not None else 1
        self.total = sum(self.units.values())

    def _frame_count(self, path: Path) -> int:
        try:
            return frame_count(path, self.every)
        except SemisegError:  # PyAV is missing, which is reported when it is this video's turn
            return 1

    def finished(self, path: Path) -> None:
        self.before, self.frames = self.before + self.units[path], 0
        self._report()

    def _frame_done(self, path: Path) -> None:
        self.frames = min(self.frames + 1, self.units[path] - 1)  # the count in the header may be too low
        self._report()

    def _report(self) -> None:
        if self.progress is not None:
            self.progress(self.before + self.frames, self.total)

    def image(self, path: Path, target: Targets) -> PredictedImage:
        if target.georeferenced:
            return self._geotiff(path, target)
        try:
            image = read_image(path, any_size=self.plan.tile is not None, pixels=self.pixels)
        except SemisegError as error:
            raise Skipped(str(error)) from None
        mask, confidence = self._segment(path, image, confidence=target.confidence is not None)
        blank = content_missing(path, self.plan.tile is not None, self.pixels)
        if blank is not None:
            mask[blank] = IGNORE
        assert target.mask is not None
        save_png(mask_picture(mask, self.info), target.mask)
        if target.overlay is not None:
            save_png(Image.fromarray(blend(as_rgb(image, self.shown), mask, self.info.colours)), target.overlay)
        if target.confidence is not None and confidence is not None:
            save_png(Image.fromarray(as_grey(confidence)), target.confidence)
        shares = class_shares(mask, self.info.classes)
        return PredictedImage(path, target.mask, target.overlay, shares, target.confidence)

    def _geotiff(self, path: Path, target: Targets) -> PredictedImage:
        assert target.mask is not None
        reader = self.pixels or PixelReader(PixelSettings())
        try:
            with self._fits(path):
                shares = predict_geotiff(
                    self.network, self.info, path, target, self.plan, self.device, reader, self.shown, self._check
                )
        except (UsageError, NetworkError, Skipped):
            raise
        except (SemisegError, OSError) as error:
            raise Skipped(str(error)) from None
        return PredictedImage(path, target.mask, target.overlay, shares, target.confidence)

    def video(self, path: Path, target: Targets) -> PredictedVideo:
        assert target.shares is not None
        if (channels := channels_of(self.network)) != 3:
            raise Skipped(f"{path}: a video has three channels, the network takes {channels}")
        try:
            frames, shares = predict_video(
                lambda frame: self._segment(path, frame, confidence=False)[0], self.info, path, target.shares,
                target.overlay, self.every, lambda: self._frame_done(path),
            )  # fmt: skip
        except (UsageError, NetworkError):
            raise
        except SemisegError as error:
            raise Skipped(str(error)) from None
        return PredictedVideo(path, target.overlay, target.shares, frames, shares)

    def _segment(self, path: Path, image: np.ndarray, confidence: bool) -> tuple[np.ndarray, np.ndarray | None]:
        with self._fits(path, f" ({image.shape[1]}x{image.shape[0]})"):
            mask, highest = segment(self.network, image, self.plan, self.device, confidence)
        self._check(mask)
        return mask, highest

    @contextmanager
    def _fits(self, path: Path, size: str = "") -> Iterator[None]:
        try:
            yield
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            remedy = "use smaller tiles" if self.plan.tile else "use tiles, e.g. --tile 512"
            raise Skipped(f"{path}{size} does not fit in memory; {remedy}") from None

    def _check(self, mask: np.ndarray) -> None:
        if mask.max() >= len(self.info.classes):
            raise NetworkError(
                f"the network predicts class {mask.max()}, but {self.info.name} has {len(self.info.classes)} classes"
            )
