"""From image sets to batches: cache, crop by position, load in worker processes."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from semiseg.data.base import IGNORE, ImageSet, Resize, Size, resized
from semiseg.data.resizing import resize_blank, resize_image, resize_label
from semiseg.data.samplers import PositionSampler, generator, position_to_index
from semiseg.data.stored_labels import StoredLabels
from semiseg.data.windows import Window, check_overlap, draw_pair, draw_window, widen
from semiseg.errors import SemisegError, UsageError


class PositionedCrops(Dataset[dict[str, Any]]):
    """Crops addressed by position in a run with this ``seed``: the same position is the same crop in every process."""

    seed: int


class CropDataset(PositionedCrops):
    """Random crops, addressed by position in the run: the same position is the same crop, in whatever process.

    Args:
        images: the image set.
        indices: which of its images take part.
        crop: (height, width) in pixels.
        seed: the run's.
        stream: name of the sequence; streams are independent.
        resize: (height, width) before cropping, or the small side of every image; None: as they are.
        cache: keep images in memory once decoded (and resized), as uint8; each worker process has a cache of its own.
        use_labels: False gives labels of 255 only, reads no mask, and says where the crop has an image at all.
        crops: 1, or 2 that overlap: the one that a single crop would be, and another of the same image.
        overlap: of two crops, the least share of a crop's area that they have in common.
        stored: pseudo-labels of the image set, by index, that take the place of its masks, which are never read then;
            they are read anew for every crop, since the next round may have written others.
        context: (height, width) of the larger window that a single crop is given in, or None: the crop alone.

    Raises:
        UsageError: no indices, another number of crops, an overlap that two crops cannot have, or two crops in context.
    """

    def __init__(
        self,
        images: ImageSet,
        indices: Sequence[int],
        crop: Size,
        seed: int,
        stream: str,
        *,
        resize: Resize | None = None,
        cache: bool = False,
        use_labels: bool = True,
        crops: int = 1,
        overlap: float = 0.0,
        stored: StoredLabels | None = None,
        context: Size | None = None,
    ) -> None:
        self.images, self.indices, self.seed, self.stream = images, list(indices), seed, stream
        if not self.indices:
            raise UsageError(f"no {stream} image to crop from; choose at least one")
        if crops not in (1, 2):
            raise UsageError(f"{crops} crops of an image; choose 1 or 2")
        if crops == 2:
            check_overlap(crop, overlap)
        if crops == 2 and context is not None:
            raise UsageError("two crops of an image come without context; set data.context=false")
        self.context = context
        self.crop, self.crops, self.overlap, self.resize = crop, crops, overlap, resize
        self.stored, self.reads_masks = stored, use_labels and stored is None
        self.cache: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray | None]] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> dict[str, Any]:
        """Crop at ``position``: image uint8 (3, h, w), label int64 (h, w) and the image's index in the set.

        Images smaller than the crop are padded at the bottom and right: 0 in the image, 255 in the label. Where no mask
        is read, ``inside``, bool (h, w), is false on padding and where the file says that there is no content, so that
        no pseudo-label is made of it. Stored labels come with their ``confidence``, float32 (h, w) in [0, 1], 0 there.

        Of two crops each tensor has one more dimension in front, (2, ...); ``inside`` is given in any case, and
        ``corner``, int64 (2, 2), is (top, left) of either crop in the resized image.

        With ``context`` all tensors are those of the larger window, and ``context``, int64 (3, 2), tells (row, column)
        of the crop's first pixel in it, how many rows and columns of it show the image, and the crop's own.

        Raises:
            SemisegError: a file cannot be read, or a mask does not fit its image.
        """
        index = self.indices[position_to_index(position, len(self.indices), self.seed, self.stream)]
        image, label, blank = self._read(index)
        confidence = None
        if self.stored is not None:
            label, confidence = self._read_stored(self.stored, index, (image.shape[0], image.shape[1]))
            if blank is not None:
                label = np.where(blank, np.uint8(IGNORE), label)
                confidence = np.where(blank, np.float32(0), confidence)
        draws = generator(self.seed, self.stream, 1, position)
        if self.crops == 1:
            window = draw_window(image.shape[:2], self.crop, draws)
            if self.context is None:
                return self._cut(window, image, label, confidence, blank) | {"index": index}
            wide = widen(window, image.shape[:2], self.context)
            start = window.top - wide.top, window.left - wide.left
            extent = min(wide.height, image.shape[0]), min(wide.width, image.shape[1])
            within = torch.tensor([start, extent, self.crop])
            return self._cut(wide, image, label, confidence, blank) | {"context": within, "index": index}
        pair = draw_pair(image.shape[:2], self.crop, self.overlap, draws)
        first, second = (self._cut(window, image, label, confidence, blank) for window in pair)
        item: dict[str, Any] = {name: torch.stack([first[name], second[name]]) for name in first}
        return item | {"corner": torch.tensor([(window.top, window.left) for window in pair]), "index": index}

    def _cut(
        self,
        window: Window,
        image: np.ndarray,
        label: np.ndarray,
        confidence: np.ndarray | None,
        blank: np.ndarray | None,
    ) -> dict[str, torch.Tensor]:
        """What an item holds of one crop, as tensors."""
        pixels = np.ascontiguousarray(window.cut(image, 0).transpose(2, 0, 1))
        crop = {
            "image": torch.from_numpy(pixels),
            "label": torch.from_numpy(window.cut(label, IGNORE).astype(np.int64)),
        }
        if not self.reads_masks or self.crops == 2:
            inside = window.inside(image.shape[:2])
            crop["inside"] = torch.from_numpy(inside if blank is None else inside & ~window.cut(blank, 0))
        if confidence is not None:
            crop["confidence"] = torch.from_numpy(np.ascontiguousarray(window.cut(confidence, 0)))
        return crop

    def _read(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Image, mask or 255 all over in its place, and what is no content, at the size that crops are taken from."""
        if self.cache is not None and index in self.cache:
            return self.cache[index]
        image = self.images.image(index)
        label = self.images.label(index) if self.reads_masks else None
        blank = None if self.reads_masks and self.crops == 1 else self.images.blank(index)
        if label is None:
            label = np.full(image.shape[:2], IGNORE, np.uint8)
        if label.shape != image.shape[:2]:
            raise SemisegError(
                f"{self.images.names[index]}: mask of {label.shape}, image of {image.shape[:2]} (height, width); "
                "make the mask as large as its image"
            )
        if self.resize is not None:
            image = resize_image(image, self.resize)
            label = resize_label(label, (image.shape[0], image.shape[1]))
            blank = None if blank is None else resize_blank(blank, (image.shape[0], image.shape[1]))
        if self.cache is not None:
            self.cache[index] = image, label, blank
        return image, label, blank

    def _read_stored(self, stored: StoredLabels, index: int, size: Size) -> tuple[np.ndarray, np.ndarray]:
        """Pseudo-labels and their confidence, at the ``size`` of the image that crops are taken from."""
        label, confidence = stored.read(index)
        if self.resize is not None:
            seen = resized((label.shape[0], label.shape[1]), self.resize)
            label, confidence = resize_label(label, seen), resize_label(confidence, seen)
        if label.shape != size:
            raise SemisegError(
                f"{self.images.names[index]}: pseudo-labels of {label.shape}, image of {size} (height, width); they "
                f"belong to other images: remove {stored.folder} and train anew"
            )
        return label, confidence


def batches(
    dataset: PositionedCrops,
    batch_size: int,
    start: int,
    stop: int,
    workers: int = 0,
    *,
    pin_memory: bool = False,
    rank: int = 0,
    world: int = 1,
) -> DataLoader[dict[str, Any]]:
    """Loader of the batches ``start`` to ``stop`` - 1 of a run; batch b holds positions b·B … (b + 1)·B - 1.

    With several ranks the joint batch is B·world and rank r takes the r-th B positions of it. Workers hold no
    randomness of their own: a crop depends on its position alone.
    """
    sampler = PositionSampler(start, stop, batch_size, rank, world)
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        # Without one, starting to load would draw from the global state and a resumed run would differ.
        generator=torch.Generator().manual_seed(dataset.seed),
        drop_last=True,
        worker_init_fn=_leave_signals_to_main if workers else None,
    )


def _leave_signals_to_main(worker: int) -> None:
    """What asks to end reaches all processes of a terminal: the main one still needs crops to finish its step."""
    for name in ("SIGINT", "SIGHUP", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
