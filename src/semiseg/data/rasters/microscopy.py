"""TIFF, OME-TIFF and ImageJ files by tifffile, and 16-bit PNG: which axes are the picture and which its channels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.data.base import Size
from semiseg.data.rasters.base import ArrayRaster
from semiseg.data.turning import turn
from semiseg.errors import SemisegError
from semiseg.runtime.extras import require

EXTRA = "microscopy"
GEO_TAGS = (33550, 34264, 34735, 42113)  # pixel size, transform, keys and no-data value of a GeoTIFF
ORIENTATION, PALETTE = 274, 3
CHANNELS = "CS"  # tifffile's letters: channels, and samples of a pixel such as red, green and blue

Stack = Mapping[str, int | str]
"""By axis, what is taken of its planes: a number counted from 1, ``max``, ``mean``, or ``channels`` for all of them."""


def open_tiff(path: Path, stack: Stack) -> ArrayRaster:
    """A TIFF of one picture, (H, W, C).

    Channels are tifffile's axes C and S, in this order. Of every other axis with several planes, such as Z or T,
    ``stack`` says what is taken: nothing is left out in silence.

    Raises:
        SemisegError: an axis that ``stack`` does not name, several pictures, a palette, or a missing library.
    """
    with _opened(path) as file:
        series = file.series[0]
        page = series.keyframe
        if int(page.photometric) == PALETTE:
            raise SemisegError(f"{path} stores colours by a palette; save it as RGB")
        values = arranged(series.asarray(), series.axes, stack, path)
        tag = page.tags.get(ORIENTATION)
        extra = [int(kind) for kind in page.extrasamples]
        # 1 and 2 are opacity, in its two ways; 0 is any further channel.
        alpha = values.shape[2] - 1 if series.axes.endswith("S") and extra and extra[-1] in (1, 2) else None
    return ArrayRaster(path, values if tag is None else turn(values, int(tag.value)), alpha)


def tiff_size(path: Path) -> Size:
    """(height, width) of a TIFF's picture, from its header.

    Raises:
        SemisegError: several pictures, or a missing library.
    """
    with _opened(path) as file:
        lengths = dict(zip(file.series[0].axes, file.series[0].shape, strict=True))
        tag = file.series[0].keyframe.tags.get(ORIENTATION)
    turned = tag is not None and int(tag.value) in (5, 6, 7, 8)
    return (lengths["X"], lengths["Y"]) if turned else (lengths["Y"], lengths["X"])


def open_deep_png(path: Path, way: int = 1) -> ArrayRaster:
    """A PNG of 16 bits a channel, of which Pillow would keep 8; ``way`` is its EXIF orientation, 1 to 8."""
    values = turn(np.asarray(require("imagecodecs", EXTRA, path.name).png_decode(path.read_bytes())), way)
    values = values[..., None] if values.ndim == 2 else values
    return ArrayRaster(path, values, values.shape[2] - 1 if values.shape[2] in (2, 4) else None)


def arranged(values: np.ndarray, axes: str, stack: Stack, path: Path) -> np.ndarray:
    """An array with axes in tifffile's letters as (H, W, C).

    Raises:
        SemisegError: an axis of several planes that ``stack`` does not name, or a plane that is not there.
    """
    if not {"Y", "X"} <= set(axes):
        raise SemisegError(f"{path} holds an array of axes {axes}, not of rows and columns (YX); save it as a picture")
    channels = {axis for axis in axes if axis in CHANNELS or stack.get(axis) == "channels"}
    several = {axis: n for axis, n in zip(axes, values.shape, strict=True) if axis not in {"Y", "X", *channels}}
    if unsaid := {axis: n for axis, n in several.items() if n > 1 and axis not in stack}:
        planes = " and ".join(f"{n} planes along {axis}" for axis, n in unsaid.items())
        first = ", ".join(f"{axis}: 1" for axis in unsaid)
        raise SemisegError(
            f"{path} holds {planes}; say what is taken, e.g. 'data.stack={{{first}}}' for the first (or max, mean, or "
            "channels for all as channels)"
        )
    left = axes
    for axis, n in several.items():
        values, left = _taken(values, left.index(axis), stack.get(axis, 1), axis, n, path), left.replace(axis, "")
    order = sorted((axis for axis in left if axis in channels), key=lambda axis: (axis in CHANNELS, axis))
    values = values.transpose([left.index(axis) for axis in ("Y", "X", *order)])
    return np.ascontiguousarray(values.reshape(*values.shape[:2], -1))


def _taken(values: np.ndarray, position: int, choice: int | str, axis: str, count: int, path: Path) -> np.ndarray:
    if choice == "max":
        return values.max(axis=position)
    if choice == "mean":
        mean = values.mean(axis=position)
        return (mean if values.dtype.kind == "f" else np.rint(mean)).astype(values.dtype)
    if not 1 <= int(choice) <= count:
        raise SemisegError(f"{path} has {count} planes along {axis}, not {choice}; correct data.stack")
    return values.take(int(choice) - 1, axis=position)


def _opened(path: Path) -> Any:
    """The file by tifffile, checked to hold one picture."""
    library = require("tifffile", EXTRA, path.name)
    file = library.TiffFile(path)
    try:
        if any(tag in file.pages[0].tags for tag in GEO_TAGS):
            require("rasterio", "geo", path.name)  # only it knows of no-data values and places
        if len(file.series) != 1:
            raise SemisegError(
                f"{path} holds {len(file.series)} pictures, of which one would be read; save each as a file of its own"
            )
    except BaseException:
        file.close()
        raise
    return file
