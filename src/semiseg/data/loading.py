"""From image sets to batches: resize, cache, crop by position, load in worker processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from semiseg.data.base import IGNORE, ImageSet
from semiseg.data.samplers import PositionSampler, generator, position_to_index
from semiseg.errors import SemisegError, UsageError


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 (H, W, 3) → (*size, 3), antialiased bilinear; ``size`` is (height, width)."""
    if image.shape[:2] == tuple(size):
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def resize_label(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 (H, W) → ``size``, nearest."""
    if label.shape == tuple(size):
        return label
    return np.asarray(Image.fromarray(label).resize((size[1], size[0]), Image.Resampling.NEAREST))


class ResizedImages(ImageSet):
    """An image set whose images are brought to one size; its labels stay at their own, where mIoU is measured."""

    def __init__(self, images: ImageSet, size: tuple[int, int]) -> None:
        self.images, self.size = images, size
        self.info, self.names = images.info, images.names

    def image(self, i: int) -> np.ndarray:
        return resize_image(self.images.image(i), self.size)

    def label(self, i: int) -> np.ndarray | None:
        return self.images.label(i)

    def has_label(self, i: int) -> bool:
        return self.images.has_label(i)


class PositionedCrops(Dataset[dict[str, Any]]):
    """Crops addressed by position in a run with this ``seed``: the same position is the same crop in every process."""

    seed: int


class CropDataset(PositionedCrops):
    """Random crops, addressed by position in the run: the same position is the same crop, in whatever process.

    Args:
        images: the image set.
        indices: which of its images take part.
        crop: side, or (height, width), in pixels.
        seed: the run's.
        stream: name of the sequence; streams are independent.
        resize: (height, width) before cropping, or None.
        cache: keep images in memory once decoded (and resized), as uint8; each worker process keeps its own.
        use_labels: False gives labels of 255 only, reads no mask, and says where the crop has an image at all.

    Raises:
        UsageError: no indices.
    """

    def __init__(
        self,
        images: ImageSet,
        indices: Sequence[int],
        crop: int | tuple[int, int],
        seed: int,
        stream: str,
        *,
        resize: tuple[int, int] | None = None,
        cache: bool = False,
        use_labels: bool = True,
    ) -> None:
        self.images, self.indices, self.seed, self.stream = images, list(indices), seed, stream
        if not self.indices:
            raise UsageError(f"no {stream} image to crop from; choose at least one")
        self.crop = (crop, crop) if isinstance(crop, int) else crop
        self.resize, self.use_labels = resize, use_labels
        self.cache: dict[int, tuple[np.ndarray, np.ndarray]] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> dict[str, Any]:
        """Crop at ``position``: image uint8 (3, h, w), label int64 (h, w) and the image's index in the set.

        Images smaller than the crop are padded at the bottom and right: 0 in the image, 255 in the label. Without
        labels, ``inside``, bool (h, w), is false there, so that no pseudo-label is made of padding.

        Raises:
            SemisegError: a file cannot be read, or a mask does not fit its image.
        """
        index = self.indices[position_to_index(position, len(self.indices), self.seed, self.stream)]
        image, label = self._read(index)
        draws = generator(self.seed, self.stream, 1, position)
        height, width = self.crop
        top = int(draws.integers(max(0, image.shape[0] - height) + 1))
        left = int(draws.integers(max(0, image.shape[1] - width) + 1))
        image, label = (a[top : top + height, left : left + width] for a in (image, label))
        missing = ((0, height - image.shape[0]), (0, width - image.shape[1]))
        if missing != ((0, 0), (0, 0)):
            image = np.pad(image, (*missing, (0, 0)))
            label = np.pad(label, missing, constant_values=IGNORE)
        crop: dict[str, Any] = {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "label": torch.from_numpy(label.astype(np.int64)),
            "index": index,
        }
        if not self.use_labels:
            inside = torch.zeros(self.crop, dtype=torch.bool)
            inside[: height - missing[0][1], : width - missing[1][1]] = True
            crop["inside"] = inside
        return crop

    def _read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if self.cache is not None and index in self.cache:
            return self.cache[index]
        image = self.images.image(index)
        label = self.images.label(index) if self.use_labels else None
        if label is None:
            label = np.full(image.shape[:2], IGNORE, np.uint8)
        if label.shape != image.shape[:2]:
            raise SemisegError(
                f"{self.images.names[index]}: mask of {label.shape}, image of {image.shape[:2]} (height, width); "
                "make the mask as large as its image"
            )
        if self.resize is not None:
            image, label = resize_image(image, self.resize), resize_label(label, self.resize)
        if self.cache is not None:
            self.cache[index] = image, label
        return image, label


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
        # Its own, or starting to load would draw from the global state and a resumed run would differ.
        generator=torch.Generator().manual_seed(dataset.seed),
        drop_last=True,
    )
