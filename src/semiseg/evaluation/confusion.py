"""How good is a network: confusion matrix and mIoU."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from semiseg.errors import SemisegError, UsageError
from semiseg.inference.logits import evaluating, predict_classes
from semiseg.runtime import distributed
from semiseg.runtime.precision import autocast

if TYPE_CHECKING:
    from semiseg.data.base import ImageSet


def confusion_matrix(
    predicted: np.ndarray | Tensor, labels: np.ndarray | Tensor, num_classes: int, ignore_index: int = 255
) -> np.ndarray:
    """Count pixels by true class (rows) and predicted class (columns): int64 (C, C).

    `predicted` and `labels` are integers of the same shape, both arrays or both tensors; uint8 arrays are by
    far the fastest. Tensors on another device are counted there. Pixels labelled `ignore_index` do not count,
    whatever was predicted. Raises SemisegError for any other label or prediction outside [0, C), UsageError
    when the shapes differ.
    """
    if tuple(predicted.shape) != tuple(labels.shape):
        raise UsageError(f"prediction {tuple(predicted.shape)} and labels {tuple(labels.shape)} differ in shape")
    if isinstance(predicted, Tensor) and isinstance(labels, Tensor):
        if predicted.device.type != "cpu":
            return _as_matrix(device_counts(predicted, labels, num_classes, ignore_index), num_classes)
        predicted, labels = predicted.numpy(), labels.numpy()
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    both_bytes = predicted.dtype == labels.dtype == np.uint8 and num_classes <= 256
    if both_bytes and (predicted.size == 0 or predicted.max() < num_classes):
        # label * C + prediction fits 16 bits for every possible byte, ignored ones included, so nothing is
        # masked or copied: ignored and invalid labels land in rows of their own.
        index = labels.astype(np.uint16) * np.uint16(num_classes)
        index += predicted
        rows = np.bincount(index.ravel(), minlength=256 * num_classes).reshape(256, num_classes)
        if 0 <= ignore_index < 256:
            rows[ignore_index] = 0
        if rows[num_classes:].any():
            raise _outside(
                "label", num_classes + int(rows[num_classes:].any(axis=1).argmax()), num_classes, ignore_index
            )
        return rows[:num_classes].astype(np.int64)
    keep = labels != ignore_index
    truth, guess = labels[keep], predicted[keep]
    for what, values in (("label", truth), ("prediction", guess)):
        bad = (values < 0) | (values >= num_classes)
        if bad.any():
            raise _outside(what, int(values[bad][0]), num_classes, ignore_index)
    smallest = np.min_scalar_type(num_classes * num_classes)
    index = truth.astype(smallest) * smallest.type(num_classes) + guess.astype(smallest)
    return np.bincount(index, minlength=num_classes**2).reshape(num_classes, num_classes).astype(np.int64)


def device_counts(predicted: Tensor, labels: Tensor, num_classes: int, ignore_index: int = 255) -> Tensor:
    """The confusion matrix as C*C + 2 int64 counts on the tensors' device, without waiting for it.

    Entry truth * C + prediction; then the ignored pixels; then those with either value outside [0, C).
    """
    truth, guess = labels.flatten().long(), predicted.flatten().long()
    bad = (truth < 0) | (truth >= num_classes) | (guess < 0) | (guess >= num_classes)
    index = (truth * num_classes + guess).masked_fill(bad, num_classes**2 + 1)
    index = index.masked_fill(truth == ignore_index, num_classes**2)
    # Not bincount: on CUDA it asks for the largest entry first, which waits for the device.
    return index.new_zeros(num_classes**2 + 2).scatter_add_(0, index, torch.ones_like(index))


def _as_matrix(counts: Tensor, num_classes: int) -> np.ndarray:
    values: np.ndarray = counts.cpu().numpy()
    if values[-1]:
        raise SemisegError(
            f"{values[-1]} pixels have a label or prediction outside 0..{num_classes - 1}: "
            "check the masks and the number of classes"
        )
    matrix: np.ndarray = values[:-2].reshape(num_classes, num_classes)
    return matrix


def _outside(what: str, value: int, num_classes: int, ignore_index: int) -> SemisegError:
    return SemisegError(
        f"{what} {value} is outside 0..{num_classes - 1} and is not the ignored value {ignore_index}: "
        "check the masks, the number of classes and the ignored value"
    )


def iou_from_confusion(confusion: np.ndarray) -> np.ndarray:
    """IoU of each class: (C, C) counts -> float64 (C,); NaN where a class is neither true nor predicted."""
    hits = np.diagonal(confusion).astype(np.float64)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hits
    iou: np.ndarray = np.divide(hits, union, out=np.full_like(hits, np.nan), where=union > 0)
    return iou


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """What an evaluation found, as fractions in [0, 1]; `miou` is the mean over the IoUs that are not NaN."""

    miou: float
    iou: np.ndarray  # (C,) float64
    confusion: np.ndarray  # (C, C) int64, rows truth, columns prediction
    classes: tuple[str, ...]
    images: int

    @classmethod
    def from_confusion(cls, confusion: np.ndarray, classes: tuple[str, ...], images: int) -> EvaluationResult:
        iou = iou_from_confusion(confusion)
        return cls(_mean(iou), iou, confusion, tuple(classes), images)

    @property
    def pixel_accuracy(self) -> float:
        """The fraction of labelled pixels that are predicted right."""
        total = self.confusion.sum()
        return float(np.trace(self.confusion) / total) if total else float("nan")

    @property
    def mean_accuracy(self) -> float:
        """The fraction of a class's pixels predicted right, averaged over the classes labelled."""
        hits, truth = np.diagonal(self.confusion).astype(np.float64), self.confusion.sum(axis=1)
        return _mean(np.divide(hits, truth, out=np.full_like(hits, np.nan), where=truth > 0))

    def to_json(self) -> dict[str, Any]:
        """The result as plain JSON values, lists in the order of `classes`; NaN becomes None."""

        def plain(value: float) -> float | None:
            return None if np.isnan(value) else float(value)

        return {
            "miou": plain(self.miou), "pixel_accuracy": plain(self.pixel_accuracy),
            "mean_accuracy": plain(self.mean_accuracy), "images": self.images, "classes": list(self.classes),
            "iou": [plain(value) for value in self.iou], "confusion": self.confusion.tolist(),
        }  # fmt: skip


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
) -> EvaluationResult:
    """Predict every labelled image of a set and compare at the labels' own size, single scale, no flips.

    `batch_size` images of equal size that follow each other share a pass. `device` moves the network
    (default: where it is); `workers` threads read ahead; `progress(done, total)` is called after each pass.
    `across_processes`: every process takes its share of the images, and all get the figures of the whole set.
    The network's training modes are as before afterwards. Raises SemisegError when nothing is labelled or a
    label is outside the classes.
    """
    if batch_size < 1 or workers < 1:
        raise UsageError(f"batch_size ({batch_size}) and workers ({workers}) must be at least 1")
    info, classes = images.info, len(images.info.classes)
    labelled = [i for i in range(len(images)) if images.has_label(i)]
    if across_processes:
        labelled = labelled[distributed.rank() :: distributed.world()]
    done = 0
    with evaluating(network, device) as place, autocast(precision, place):
        counts = torch.zeros(classes**2 + 2, dtype=torch.int64, device=place)
        for pictures, labels in _batches(images, labelled, batch_size, workers):
            batch = _to(np.stack(pictures), place).permute(0, 3, 1, 2).float().div_(255)
            truth = np.stack(labels)
            predicted = predict_classes(network, batch, (truth.shape[1], truth.shape[2]), mode, window, stride)
            if place.type == "cpu":
                guess = predicted.to(torch.uint8) if classes <= 256 else predicted
                matrix = confusion_matrix(guess.numpy(), truth, classes, info.ignore_index)
                counts[:-2] += torch.from_numpy(matrix.ravel())
            else:
                counts += device_counts(predicted, _to(truth, place), classes, info.ignore_index)
            done += len(pictures)
            if progress is not None:
                progress(done, len(labelled))
        if across_processes:
            counts = distributed.total(counts)
            done = int(distributed.total(torch.tensor(done, device=place)))
    if not done:
        raise SemisegError(f"none of the {len(images)} images of {info.name} has a label: evaluation needs masks")
    confusion = _as_matrix(counts, classes)
    if not confusion.any():
        raise SemisegError(f"every pixel of the {done} masks of {info.name} is ignored: check the masks' values")
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
        error = _outside("label", int(label[bad][0]), len(info.classes), info.ignore_index)
        raise SemisegError(f"{images.names[i]}: {error}")
    return images.image(i), label


def _batches(
    images: ImageSet, indices: list[int], batch_size: int, workers: int
) -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
    """Images and labels in order, neighbours of equal size together, read ahead by threads."""
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
