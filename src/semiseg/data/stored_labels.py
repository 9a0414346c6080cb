"""Pseudo-labels on disk, for methods that label the unlabelled images once a round and train on them afterwards."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from semiseg.errors import SemisegError, UsageError

_ANEW = "remove it and train anew, so that it is written again"


class StoredLabels:
    """Labels and confidence of whole images, one compressed file ``INDEX.npz`` each.

    Written files appear whole or not at all, so several processes may write different images of one folder, and a
    reader never meets half a file. Nothing is remembered: what is read is what was written last.

    Args:
        folder: made by the first :meth:`write`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def write(self, index: int, labels: np.ndarray, confidence: np.ndarray) -> None:
        """Store the pseudo-labels of image ``index``, in place of any earlier ones.

        Args:
            index: of the image in its image set.
            labels: uint8 (H, W), classes 0…C-1 and 255 where there is no pseudo-label.
            confidence: floating (H, W) in [0, 1]; kept as float16, to 0.0005.

        Raises:
            UsageError: arrays of another kind.
        """
        if index < 0:
            raise UsageError(f"stored labels: image {index}; give an index from 0")
        if labels.dtype != np.uint8 or labels.ndim != 2:
            raise UsageError(f"stored labels: {labels.dtype} {labels.shape}; give classes as uint8 (H, W)")
        if not np.issubdtype(confidence.dtype, np.floating) or confidence.shape != labels.shape:
            raise UsageError(
                f"stored labels: confidence of {confidence.dtype} {confidence.shape}; give floats {labels.shape}"
            )
        if not ((confidence >= 0) & (confidence <= 1)).all():
            raise UsageError(f"stored labels: the confidence of image {index} leaves 0…1; give probabilities")
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(index)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with unfinished.open("wb") as file:
                np.savez_compressed(file, labels=labels, confidence=confidence.astype(np.float16))
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels, uint8 (H, W), and confidence, float32 (H, W), of image ``index``.

        Raises:
            SemisegError: no file for this image, or one that is damaged.
        """
        path = self._path(index)
        try:
            with np.load(path, allow_pickle=False) as stored:
                labels, confidence = stored["labels"], stored["confidence"]
        except FileNotFoundError:
            raise SemisegError(
                f"{path}: no pseudo-labels are stored for image {index}; train anew, so that all are written again"
            ) from None
        except Exception as error:  # archives that are cut off fail in nearly any way
            reason = " ".join(str(error).split()) or type(error).__name__
            raise SemisegError(f"{path} cannot be read ({reason}); {_ANEW}") from None
        if (labels.dtype, confidence.dtype) != (np.uint8, np.float16) or labels.ndim != 2:
            raise SemisegError(f"{path} holds no pseudo-labels; {_ANEW}")
        if labels.shape != confidence.shape:
            raise SemisegError(f"{path} has labels and confidence of different sizes; {_ANEW}")
        return labels, confidence.astype(np.float32)

    def indices(self) -> list[int]:
        """The images with stored pseudo-labels, in ascending order; none where there is no folder."""
        stems = (path.stem for path in self.folder.glob("*.npz"))
        return sorted(int(stem) for stem in stems if stem.isdecimal())

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:06d}.npz"
