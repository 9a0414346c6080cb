"""Facts about a folder: sizes from the headers of image files, widths from some masks, counts from the split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from semiseg.data.base import ImageSet, Size
from semiseg.data.files import ImageFiles
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
TURNED = (5, 6, 7, 8)  # EXIF orientations that swap height and width


def read_facts(data: RunData, device: torch.device, own_validation: bool) -> Facts:
    """Facts about the images and masks of a run and about its device.

    A second or two, whatever the number of images: at most HEADERS headers of a split and MASKS masks are read.

    Args:
        data: image sets made of files, and the split.
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
    )


def image_size(path: Path) -> Size | None:
    """(height, width) of an upright image, from the header of its file; None where that cannot be read."""
    try:
        with Image.open(path) as image:
            # Of a TIFF, some versions of Pillow give the upright size, others the stored one.
            tags = getattr(image, "tag_v2", None)
            width, height = image.size if tags is None else (tags[256], tags[257])
            # Pillow decodes a whole PNG to look for a tag that its header does not announce.
            tagged = image.format != "PNG" or "exif" in image.info
            turned = tagged and image.getexif().get(0x0112) in TURNED
    except Exception:  # as read_rgb: damaged files raise nearly anything; the check of the data names them
        return None
    return (width, height) if turned else (height, width)


def _sizes(images: ImageSet) -> list[Size]:
    assert isinstance(images, ImageFiles)
    paths = [images.files[images.names[i]] for i in _spread(range(len(images)), HEADERS)]
    with ThreadPoolExecutor(READERS) as pool:
        sizes = [size for size in pool.map(image_size, paths) if size is not None]
    if not sizes:
        raise SemisegError(f"{paths[0]} and others cannot be read as images; replace or remove them")
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
