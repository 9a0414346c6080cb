"""Confusion matrix, IoU and accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semiseg.errors import SemisegError, UsageError


def confusion_matrix(
    predicted: np.ndarray | Tensor, labels: np.ndarray | Tensor, num_classes: int, ignore_index: int = 255
) -> np.ndarray:
    """Count pixels by true class (rows) and predicted class (columns): int64 (C, C).

    ``predicted`` and ``labels`` are integers of the same shape, both arrays or both tensors; uint8 arrays are by far
    the fastest. Tensors on another device than the CPU are counted on it. Pixels labelled ``ignore_index`` do not
    count, whatever was predicted.

    Raises:
        UsageError: the shapes differ.
        SemisegError: any other label, or a prediction, is outside [0, C).
    """
    if tuple(predicted.shape) != tuple(labels.shape):
        raise UsageError(f"prediction {tuple(predicted.shape)} and labels {tuple(labels.shape)} differ in shape")
    if isinstance(predicted, Tensor) and isinstance(labels, Tensor):
        if predicted.device.type != "cpu":
            return matrix_of_counts(device_counts(predicted, labels, num_classes, ignore_index), num_classes)
        predicted, labels = predicted.numpy(), labels.numpy()
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    both_bytes = predicted.dtype == labels.dtype == np.uint8 and num_classes <= 256
    if both_bytes and (predicted.size == 0 or predicted.max() < num_classes):
        # label * C + prediction fits 16 bits for every possible byte, ignored ones included, so nothing need be masked
        # or copied: ignored and invalid labels are counted in separate rows.
        index = labels.astype(np.uint16) * np.uint16(num_classes)
        index += predicted
        rows = np.bincount(index.ravel(), minlength=256 * num_classes).reshape(256, num_classes)
        if 0 <= ignore_index < 256:
            rows[ignore_index] = 0
        if rows[num_classes:].any():
            raise outside_classes(
                "label", num_classes + int(rows[num_classes:].any(axis=1).argmax()), num_classes, ignore_index
            )
        return rows[:num_classes].astype(np.int64)
    keep = labels != ignore_index
    truth, guess = labels[keep], predicted[keep]
    for what, values in (("label", truth), ("prediction", guess)):
        bad = (values < 0) | (values >= num_classes)
        if bad.any():
            raise outside_classes(what, int(values[bad][0]), num_classes, ignore_index)
    smallest = np.min_scalar_type(num_classes * num_classes)
    index = truth.astype(smallest) * smallest.type(num_classes) + guess.astype(smallest)
    return np.bincount(index, minlength=num_classes**2).reshape(num_classes, num_classes).astype(np.int64)


def device_counts(predicted: Tensor, labels: Tensor, num_classes: int, ignore_index: int = 255) -> Tensor:
    """The confusion matrix as C·C + 2 int64 counts on the device of the tensors, without waiting for it.

    Entry truth · C + prediction; then the ignored pixels; then those with either value outside [0, C).
    """
    truth, guess = labels.flatten().long(), predicted.flatten().long()
    bad = (truth < 0) | (truth >= num_classes) | (guess < 0) | (guess >= num_classes)
    index = (truth * num_classes + guess).masked_fill(bad, num_classes**2 + 1)
    index = index.masked_fill(truth == ignore_index, num_classes**2)
    # Not bincount: on CUDA it asks for the largest entry first, which waits for the device.
    return index.new_zeros(num_classes**2 + 2).scatter_add_(0, index, torch.ones_like(index))


def matrix_of_counts(counts: Tensor, num_classes: int) -> np.ndarray:
    """Counts of :func:`device_counts` as an int64 (C, C) array.

    Raises:
        SemisegError: a label or prediction was outside [0, C).
    """
    values: np.ndarray = counts.cpu().numpy()
    if values[-1]:
        raise SemisegError(
            f"{values[-1]} pixels have a label or prediction outside 0..{num_classes - 1}; "
            "check the masks and the number of classes"
        )
    matrix: np.ndarray = values[:-2].reshape(num_classes, num_classes)
    return matrix


def outside_classes(what: str, value: int, num_classes: int, ignore_index: int) -> SemisegError:
    """The error of a label or prediction that is no class."""
    return SemisegError(
        f"{what} {value} is outside 0..{num_classes - 1} and is not the ignored value {ignore_index}; "
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
    """Result of an evaluation, as fractions in [0, 1]; ``miou`` is the mean over the IoUs that are not NaN."""

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
        """The fraction of labelled pixels that are predicted correctly."""
        total = self.confusion.sum()
        return float(np.trace(self.confusion) / total) if total else float("nan")

    @property
    def mean_accuracy(self) -> float:
        """The fraction of a class's pixels that are predicted correctly, averaged over the labelled classes."""
        hits, truth = np.diagonal(self.confusion).astype(np.float64), self.confusion.sum(axis=1)
        return _mean(np.divide(hits, truth, out=np.full_like(hits, np.nan), where=truth > 0))

    def to_json(self) -> dict[str, Any]:
        """The result as plain JSON values, lists in the order of ``classes``; NaN becomes None."""

        def plain(value: float) -> float | None:
            return None if np.isnan(value) else float(value)

        return {
            "miou": plain(self.miou), "pixel_accuracy": plain(self.pixel_accuracy),
            "mean_accuracy": plain(self.mean_accuracy), "images": self.images, "classes": list(self.classes),
            "iou": [plain(value) for value in self.iou], "confusion": self.confusion.tolist(),
        }  # fmt: skip
