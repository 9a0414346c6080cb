"""Facts about a folder: sizes from the headers of image files, widths from some masks, counts from the split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from semiseg.data.base import ImageSet, Size
from semiseg.data.files import ImageFiles
from semiseg.data.pictures import image_size
from semiseg.data.rasters.tiles import TiledImages
from semiseg.data.run_data import RunData
from semiseg.derived.facts import Facts
from semiseg.derived.widths import finest_class
from semiseg.errors import SemisegError
from semiseg.runtime import distributed
from semiseg.runtime.device import gpu_memory, main_memory

HEADERS = 200
"""Images of a split whose headers are read; of a larger one these are evenly spaced in the sorted list."""
MASKS = 16
"""Masks that are decoded to see how wide regions are."""
READERS = 8


def read_facts(data: RunData, device: torch.device, own_validation: bool) -> Facts:
    """Facts about the images and masks of a run and about its device.

    A second or two, whatever the number of images: at most HEADERS headers of a split and MASKS masks are read.

    Args:
        data: image sets made of files or of their tiles, and the split.
        device: where the run trains.
        own_validation: whether the folder says which images validate.

    Raises:
        SemisegError: no image of a split can be read.
    """
    sizes, validation = _sizes(data.train), _sizes(data.val)
    finest = _finest(data)
    classes, labelled = data.train.info.classes, set(data.labelled)
    return Facts(
        small_side=round(float(np.median([min(size) for size in sizes]))),
        large_side=round(float(np.median([max(size) for size in sizes]))),
        smallest=min(sizes, key=_area),
        largest=max(sizes, key=_area),
        mean_pixels=round(sum(map(_area, sizes)) / len(sizes)),
        largest_validation=max(validation, key=_area),
        labelled=len(labelled),
        unlabelled=len(data.train) - len(labelled),
        validation=sum(data.val.has_label(i) for i in range(len(data.val))),
        own_validation=own_validation,
        classes=len(classes),
        device=device.type,
        finest_class=None if finest is None else classes[finest[0]],
        finest_width=1.0 if finest is None else finest[1],
        gpu_memory=gpu_memory(device),
        memory=main_memory(),
        threads=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        processes=distributed.world(),
        tiled=isinstance(data.train, TiledImages),
    )


def _sizes(images: ImageSet) -> list[Size]:
    def size(i: int) -> Size | None:
        if isinstance(images, ImageFiles) and images.pixels is None:
            return image_size(images.files[images.names[i]])
        try:
            return images.size_of(i)
        except SemisegError:  # the check of the data says so
            return None

    chosen = _spread(range(len(images)), HEADERS)
    with ThreadPoolExecutor(READERS) as pool:
        sizes = [size for size in pool.map(size, chosen) if size is not None]
    if not sizes:
        first = images.names[chosen[0]]
        named = images.files[first] if isinstance(images, ImageFiles) else first
        raise SemisegError(f"{named} and others cannot be read as images; replace or remove them")
    return sizes


def _finest(data: RunData) -> tuple[int, float] | None:
    def mask(i: int) -> np.ndarray | None:
        try:
            return data.train.label(i)
        except SemisegError:  # the check of the data says so
            return None

    with ThreadPoolExecutor(READERS) as pool:
        found = pool.map(mask, _spread(sorted(data.labelled), MASKS))
        return finest_class((label for label in found if label is not None), data.train.info.num_classes)


def _spread(items: Sequence[int], count: int) -> list[int]:
    """At most ``count`` of the items, evenly spaced."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def _area(size: Size) -> int:
    return size[0] * size[1]
