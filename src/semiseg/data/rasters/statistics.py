"""What is measured of the training images before step 0: the range of every channel, and its mean and deviation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from semiseg.data.base import ImageSet
from semiseg.data.files import ImageFiles
from semiseg.data.rasters.intensity import PixelSettings, Ranges, chosen, percentile_ranges
from semiseg.data.rasters.opening import open_raster
from semiseg.data.rasters.tiles import TiledImages
from semiseg.errors import SemisegError

IMAGES = 128
"""Images that are measured, evenly spread over the training set."""
OF_EACH = 2**16  # pixels of an image
LEAST = 1 / 255  # of a deviation: a channel of one value must not be divided by zero


def dataset_ranges(images: ImageSet, settings: PixelSettings) -> Ranges:
    """Percentiles of every channel over up to ``IMAGES`` training images and ``OF_EACH`` pixels of content of each.

    Files that cannot be read are passed over: the check of the data names them.

    Raises:
        SemisegError: none can be read.
    """
    files = images.images if isinstance(images, TiledImages) else images
    assert isinstance(files, ImageFiles)
    found, problem = [], None
    for i in spread(len(files), IMAGES):
        try:
            with open_raster(files.files[files.names[i]], settings.stack) as raster:
                found.append(thinned(raster.sample(chosen(raster, settings.channels))).astype(np.float64))
        except SemisegError as error:
            problem = problem or error
    if not found:
        raise problem or SemisegError("data.intensity=dataset: there is no training image to measure")
    return percentile_ranges(np.concatenate(found), settings.percentiles)


def channel_statistics(images: ImageSet) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of every channel in [0, 1], after its mapping to 8 bits, over training images.

    Over the same images and as many pixels as :func:`dataset_ranges`; pixels without content do not count.

    Raises:
        SemisegError: no image can be read.
    """
    found, problem = [], None
    for i in spread(len(images), IMAGES):
        try:
            image, blank = images.image(i), images.blank(i)
        except SemisegError as error:
            problem = problem or error
        else:
            found.append(thinned(image.reshape(-1, image.shape[2]) if blank is None else image[~blank]))
    if not found or not sum(map(len, found)):
        raise problem or SemisegError("no training image has a pixel of content")
    values = np.concatenate(found).astype(np.float64) / 255
    return values.mean(axis=0).tolist(), values.std(axis=0).clip(LEAST).tolist()


def thinned(values: np.ndarray) -> np.ndarray:
    """At most ``OF_EACH`` rows of (n, C), evenly spread."""
    return values[:: max(1, -(-len(values) // OF_EACH))]


def spread(count: int, most: int) -> Sequence[int]:
    """At most ``most`` of the indices below ``count``, evenly spread."""
    return [count * k // min(most, count) for k in range(min(most, count))]
