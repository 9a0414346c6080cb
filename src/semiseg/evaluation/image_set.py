"""A network's predictions for a set of images, compared with the masks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from semiseg.errors import SemisegError, UsageError
from semiseg.evaluation.confusion import (
    EvaluationResult,
    confusion_matrix,
    device_counts,
    matrix_of_counts,
    outside_classes,
)
from semiseg.inference.logits import evaluating, predict_classes
from semiseg.runtime import distributed
from semiseg.runtime.precision import autocast

if TYPE_CHECKING:
    from semiseg.data.base import ImageSet


def evaluate_network(
    network: nn.Module,
    images: ImageSet,
    mode: str = "whole",
    window: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
    batch_size: int = 1,
    device: torch.device | str | None = None,
    precision: str = "fp32",
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
    across_processes: bool = False,
    needs_truth: bool = True,
) -> EvaluationResult:
    """Predict every labelled image of a set and compare at the labels' own size, single scale, no flips.

    Args:
        network: images (B, 3, H, W) float32 in [0, 1] -> an output with ``logits`` (B, C, h, w). Its modules are in the
            modes they were in afterwards.
        images: the set; images without a mask are passed over.
        mode, window, stride: as :func:`semiseg.inference.logits.predict_logits` takes them.
        batch_size: consecutive images of equal size that share a pass.
        device: where the network is moved to; None leaves it where it is.
        precision: ``fp32``, ``bf16`` or ``fp16``, for the network alone; logits are compared in float32.
        workers: threads that read ahead.
        progress: called with (images done, images in all) after each pass.
        across_processes: every process takes its share of the images, and all get the figures of the whole set.
        needs_truth: a set of which no pixel has a label is an error; otherwise its mIoU, and all IoUs, are NaN.

    Raises:
        UsageError: a batch size, number of workers, mode, window or precision that makes no sense.
        SemisegError: no image has a mask, or a label is outside the classes.
    """
    if batch_size < 1 or workers < 1:
        raise UsageError(f"batch_size {batch_size} and workers {workers}: give at least 1 of each")
    info, classes = images.info, len(images.info.classes)
    labelled = [i for i in range(len(images)) if images.has_label(i)]
    if across_processes:
        labelled = labelled[distributed.rank() :: distributed.world()]
    done = 0
    with evaluating(network, device) as run_device, autocast(precision, run_device):
        counts = torch.zeros(classes**2 + 2, dtype=torch.int64, device=run_device)
        for pictures, labels in _batches(images, labelled, batch_size, workers):
            batch = _to(np.stack(pictures), run_device).permute(0, 3, 1, 2).float().div_(255)
            truth = np.stack(labels)
            predicted = predict_classes(network, batch, (truth.shape[1], truth.shape[2]), mode, window, stride)
            if run_device.type == "cpu":
                guess = predicted.to(torch.uint8) if classes <= 256 else predicted
                matrix = confusion_matrix(guess.numpy(), truth, classes, info.ignore_index)
                counts[:-2] += torch.from_numpy(matrix.ravel())
            else:
                counts += device_counts(predicted, _to(truth, run_device), classes, info.ignore_index)
            done += len(pictures)
            if progress is not None:
                progress(done, len(labelled))
        if across_processes:
            counts = distributed.total(counts)
            done = int(distributed.total(torch.tensor(done, device=run_device)))
    if not done and needs_truth:
        raise SemisegError(f"none of the {len(images)} images of {info.name} has a label; evaluation needs masks")
    confusion = matrix_of_counts(counts, classes)
    if not confusion.any() and needs_truth:
        raise SemisegError(f"every pixel of the {done} masks of {info.name} is ignored; check the values in the masks")
    return EvaluationResult.from_confusion(confusion, info.classes, done)


def _to(array: np.ndarray, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _read(images: ImageSet, i: int) -> tuple[np.ndarray, np.ndarray] | None:
    label = images.label(i)
    if label is None:
        return None
    info = images.info
    bad = (label < 0) | (label >= len(info.classes))
    bad &= label != info.ignore_index
    if bad.any():
        error = outside_classes("label", int(label[bad][0]), len(info.classes), info.ignore_index)
        raise SemisegError(f"{images.names[i]}: {error}")
    return images.image(i), label


def _batches(
    images: ImageSet, indices: list[int], batch_size: int, workers: int
) -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
    """Images and labels in order, consecutive ones of equal size together, read ahead by threads."""
    waiting: deque[Future[tuple[np.ndarray, np.ndarray] | None]] = deque()
    pictures: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    with ThreadPoolExecutor(workers) as pool:
        for position in range(len(indices) + workers):
            if position < len(indices):
                waiting.append(pool.submit(_read, images, indices[position]))
            if position < workers or (pair := waiting.popleft().result()) is None:
                continue
            sizes = (pair[0].shape, pair[1].shape)
            if pictures and (len(pictures) == batch_size or sizes != (pictures[0].shape, labels[0].shape)):
                yield pictures, labels
                pictures, labels = [], []
            pictures.append(pair[0])
            labels.append(pair[1])
    if pictures:
        yield pictures, labels
