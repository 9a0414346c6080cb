"""Images and videos in; masks, overlays, confidence and class shares out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import nn

from semiseg.errors import SemisegError, UsageError
from semiseg.inference.plan import Passes, out_of_memory, segment
from semiseg.prediction.class_shares import SharesTable, class_shares
from semiseg.prediction.inputs import find_images, is_video, read_image
from semiseg.prediction.outputs import Targets, as_grey, refuse_clashes, save_png
from semiseg.prediction.video import frame_count, predict_video
from semiseg.runtime import distributed
from semiseg.visualise import overlay as blend
from semiseg.visualise import palette

if TYPE_CHECKING:
    from semiseg.data.base import DatasetInfo

__all__ = [
    "FailedImage",
    "PredictedImage",
    "PredictedVideo",
    "find_images",
    "predict_array",
    "predict_files",
    "read_image",
]


@dataclass(frozen=True)
class PredictedImage:
    """One image's prediction: its files, and the fraction of its pixels of every class (summing to 1)."""

    path: Path
    mask_path: Path
    overlay_path: Path | None
    shares: dict[str, float]
    confidence_path: Path | None = None


@dataclass(frozen=True)
class PredictedVideo:
    """One video's prediction: its overlay video, the CSV file of its `frames` frames, and their mean class shares."""

    path: Path
    overlay_path: Path | None
    shares_path: Path
    frames: int
    shares: dict[str, float]


@dataclass(frozen=True)
class FailedImage:
    """An image or video that was skipped, and why, in one line."""

    path: Path
    reason: str


def predict_array(
    network: nn.Module,
    image: np.ndarray,
    mode: str = "whole",
    window: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
    device: torch.device | str | None = None,
    precision: str = "fp32",
    resize: tuple[int, int] | None = None,
) -> np.ndarray:
    """Classes of one image: uint8 (H,W,3) RGB -> uint8 (H,W). `device` moves the network.

    With `resize` (height, width) the network sees the image at the size it was trained on; the logits are
    brought back to the image's own.
    """
    passes = Passes(mode, window, stride, precision, resize)
    return segment(network, image, passes, device, confidence=False)[0]


def predict_files(
    network: nn.Module,
    info: DatasetInfo,
    paths: str | Path | Iterable[str | Path],
    output: str | Path,
    overlay: bool = True,
    device: torch.device | str | None = None,
    passes: Passes | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    across_processes: bool = False,
    confidence: bool = False,
    every: int = 1,
) -> tuple[list[PredictedImage | PredictedVideo], list[FailedImage]]:
    """Write masks, overlays, confidence and class shares of images and videos into the folder `output`.

    An image gives masks/STEM.png, at its own size: a palette PNG whose values are the class ids and whose palette
    `info.colours`; with `overlay` overlays/STEM.png; with `confidence` confidence/STEM.png, 8-bit grey, 255 for
    certain; and a row of shares.csv. A video gives shares/STEM.csv and, with `overlay`, overlays/STEM.mp4, from
    every `every`-th frame.

    `paths` are what `find_images` takes. What cannot be read, or does not fit in the device's memory, is skipped and
    returned among the failures; `progress(done, total)` counts images and frames, those skipped too. Raises
    SemisegError before the first forward pass when two inputs would share an output file, an output file exists
    and `overwrite` is off, or an output file is itself one of the inputs. `across_processes`: every process takes its
    share of the inputs and returns that; shares.csv is of all.
    """
    if every < 1:
        raise UsageError(f"every {every}th frame: give 1 for all, 2 for every other")
    inputs, folder, passes = find_images(paths), Path(output), passes or Passes()
    targets = [Targets.of(folder, path, overlay, confidence) for path in inputs]
    table_path = None if all(is_video(path) for path in inputs) else folder / "shares.csv"
    refuse_clashes(inputs, targets, table_path, overwrite)
    order = [str(path) for path in inputs]
    if across_processes:
        distributed.barrier()  # all have looked before the first writes
        share = slice(distributed.rank(), None, distributed.world())
        inputs, targets = inputs[share], targets[share]
    try:
        for made in {folder, *(path.parent for target in targets for path in target.all)}:
            made.mkdir(parents=True, exist_ok=True)
        table = None if table_path is None else SharesTable(table_path, info.classes, across_processes=across_processes)
    except OSError as error:
        raise SemisegError(f"cannot make the output folder {folder}: {error.strerror or error}") from error
    job = _Job(network, info, passes, device, every, palette(info.colours))
    predicted: list[PredictedImage | PredictedVideo] = []
    failed: list[FailedImage] = []
    job.plan(inputs, progress)
    for path, target in zip(inputs, targets, strict=True):
        try:
            found = job.video(path, target) if is_video(path) else job.image(path, target)
        except _Skipped as skipped:
            failed.append(FailedImage(path, str(skipped)))
        else:
            predicted.append(found)
            if table is not None and isinstance(found, PredictedImage):
                table.add((path,), found.shares)
        job.finished(path)
    if table is not None:
        table.join(order)
    return predicted, failed


class _Skipped(Exception):
    """One input cannot be predicted; the others can."""


class _Job:
    """What is common to the inputs, and how far the work is."""

    def __init__(
        self, network: nn.Module, info: DatasetInfo, passes: Passes, device: torch.device | str | None, every: int,
        table: np.ndarray,
    ) -> None:  # fmt: skip
        self.network, self.info, self.passes, self.device, self.every = network, info, passes, device, every
        self.table = table
        self.units: dict[Path, int] = {}
        self.total = 0
        self.progress: Callable[[int, int], None] | None = None
        self.before = self.frames = 0

    def plan(self, inputs: Sequence[Path], progress: Callable[[int, int], None] | None) -> None:
        self.progress = progress
        for path in inputs:
            self.units[path] = self._frame_count(path) if is_video(path) and progress is not None else 1
        self.total = sum(self.units.values())

    def _frame_count(self, path: Path) -> int:
        try:
            return frame_count(path, self.every)
        except SemisegError:  # PyAV is missing, which is said when the video's turn comes
            return 1

    def finished(self, path: Path) -> None:
        self.before, self.frames = self.before + self.units[path], 0
        self._tell()

    def _frame_done(self, path: Path) -> None:
        self.frames = min(self.frames + 1, self.units[path] - 1)  # headers may count too few
        self._tell()

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(self.before + self.frames, self.total)

    def image(self, path: Path, target: Targets) -> PredictedImage:
        try:
            image = read_image(path, any_size=self.passes.tile is not None)
        except SemisegError as error:
            raise _Skipped(str(error)) from None
        mask, sure = self._segment(path, image, confidence=target.confidence is not None)
        assert target.mask is not None
        picture = Image.fromarray(mask)
        picture.putpalette(self.table.tobytes())
        save_png(picture, target.mask)
        if target.overlay is not None:
            save_png(Image.fromarray(blend(image, mask, self.info.colours)), target.overlay)
        if target.confidence is not None and sure is not None:
            save_png(Image.fromarray(as_grey(sure)), target.confidence)
        shares = class_shares(mask, self.info.classes)
        return PredictedImage(path, target.mask, target.overlay, shares, target.confidence)

    def video(self, path: Path, target: Targets) -> PredictedVideo:
        assert target.shares is not None
        try:
            frames, shares = predict_video(
                lambda frame: self._segment(path, frame, confidence=False)[0], self.info, path, target.shares,
                target.overlay, self.every, lambda: self._frame_done(path),
            )  # fmt: skip
        except (UsageError, _NetworkError):
            raise
        except SemisegError as error:
            raise _Skipped(str(error)) from None
        return PredictedVideo(path, target.overlay, target.shares, frames, shares)

    def _segment(self, path: Path, image: np.ndarray, confidence: bool) -> tuple[np.ndarray, np.ndarray | None]:
        try:
            mask, sure = segment(self.network, image, self.passes, self.device, confidence)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            size = f"{image.shape[1]}x{image.shape[0]}"
            mend = "use smaller tiles" if self.passes.tile else "use tiles, e.g. --tile 512"
            raise _Skipped(f"{path} ({size}) does not fit in memory: {mend}") from None
        if mask.max() >= len(self.info.classes):
            raise _NetworkError(
                f"the network predicts class {mask.max()} but {self.info.name} has {len(self.info.classes)}"
            )
        return mask, sure


class _NetworkError(SemisegError):
    """The network does not belong to the classes: no input can be predicted."""
