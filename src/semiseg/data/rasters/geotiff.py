"""GeoTIFF and other large TIFF files, read in windows by rasterio: nothing as large as the picture is ever made."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.data.base import Size
from semiseg.data.rasters.base import Raster, finite, stride
from semiseg.data.windows import Window, tiles_of
from semiseg.errors import SemisegError
from semiseg.runtime.extras import require

EXTRA = "geo"
CACHE = 256
"""MiB of decoded blocks that GDAL keeps: the rows of a tile, where a picture is stored in strips."""
LARGE = 2**26
"""Pixels from which on a TIFF without a place on the earth is read in windows too: 8192×8192."""
PART = 2048  # pixels of a side
SAME_PLACE = 0.5
"""Pixels by which corners may lie apart: each pixel of a mask is then nearest to the one of its own row and column."""


@cache
def library() -> Any:
    """rasterio, told not to warn of files that have no place on the earth.

    Raises:
        SemisegError: it is not installed.
    """
    found = require("rasterio", EXTRA, "a GeoTIFF")
    warnings.filterwarnings("ignore", category=found.errors.NotGeoreferencedWarning)
    return found


def installed() -> bool:
    """Whether rasterio is there."""
    return importlib.util.find_spec("rasterio") is not None


class GeoRaster(Raster):
    """A TIFF that stays on the disk; every :meth:`read` decodes a window.

    Attributes:
        dataset: rasterio's, with CRS and transform.
        palette: the numbers stand for colours of a palette, as in masks.

    Raises:
        SemisegError: several pictures in one file, or numbers that are complex.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._open = path, ExitStack()
        rasterio = library()
        self._open.enter_context(rasterio.Env(GDAL_CACHEMAX=CACHE))
        self.dataset: Any = self._open.enter_context(rasterio.open(path, driver="GTiff"))
        try:
            self._describe(rasterio)
        except BaseException:
            self.close()
            raise

    def _describe(self, rasterio: Any) -> None:
        found = self.dataset
        if len(found.subdatasets) > 1:
            raise SemisegError(
                f"{self.path} holds {len(found.subdatasets)} pictures, of which one would be read; save each as a file "
                "of its own"
            )
        kinds = rasterio.enums.ColorInterp
        self.size, self.count = (found.height, found.width), found.count
        self.dtype = np.result_type(*found.dtypes)
        if self.dtype.kind not in "uif":
            raise SemisegError(f"{self.path} holds {self.dtype} numbers; save it as integers or floats")
        self.palette = found.colorinterp[0] == kinds.palette
        self.alpha = next((i for i, kind in enumerate(found.colorinterp) if kind == kinds.alpha), None)

    @property
    def georeferenced(self) -> bool:
        """Whether the file says where it lies, or which of its values are none."""
        found = self.dataset
        placed = found.crs is not None or not found.transform.is_identity or bool(found.gcps[0])
        return placed or found.nodata is not None

    def read(self, channels: Sequence[int], window: Window | None = None) -> np.ndarray:
        values = self.dataset.read([i + 1 for i in channels], window=slices(window))
        return np.ascontiguousarray(values.transpose(1, 2, 0))

    def valid(self, channels: Sequence[int], window: Window | None = None) -> np.ndarray | None:
        all_valid = library().enums.MaskFlags.all_valid
        bands = [i + 1 for i in dict.fromkeys(channels)]
        if self.alpha is not None and self.alpha in channels:
            return None
        # What is no number is no content, with a no-data value or without one.
        numbers = finite(self.read(channels, window)) if self.dtype.kind == "f" else None
        if any(all_valid in self.dataset.mask_flag_enums[band - 1] for band in bands):
            return numbers
        found: np.ndarray = (self.dataset.read_masks(bands, window=slices(window)) > 0).any(axis=0)
        found = found if numbers is None else found & numbers
        return None if found.all() else found

    def sample(self, channels: Sequence[int]) -> np.ndarray:
        """As :meth:`Raster.sample`, decoded row of blocks by row of blocks."""
        step = stride(self.size)
        if step == 1:
            return super().sample(channels)
        rows = []
        for top in range(0, self.size[0], step):
            line = Window(top, 0, 1, self.size[1])
            values, valid = self.read(channels, line)[:, ::step], self.valid(channels, line)
            rows.append(values.reshape(-1, len(channels)) if valid is None else values[valid[:, ::step]])
        return np.concatenate(rows)

    def close(self) -> None:
        self._open.close()


def is_tiff(path: Path) -> bool:
    """Whether the first bytes of a file are those of a TIFF or BigTIFF."""
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    except OSError:
        return False


def opened(path: Path) -> GeoRaster | None:
    """A TIFF with a place on the earth or a no-data value, or of at least ``LARGE`` pixels; None for other files, and
    without rasterio."""
    if not (installed() and is_tiff(path)):
        return None
    try:
        raster = GeoRaster(path)
    except Exception:  # whoever reads the file by other means says what is wrong with it
        return None
    if raster.georeferenced or raster.size[0] * raster.size[1] >= LARGE:
        return raster
    raster.close()
    return None


def reads(path: Path) -> bool:
    """Whether :func:`opened` opens the file."""
    raster = opened(path)
    if raster is not None:
        raster.close()
    return raster is not None


def read_mask_window(path: Path, window: Window) -> np.ndarray:
    """A window of a mask file as stored: integers (h, w), or uint8 (h, w, 3) colours.

    Raises:
        SemisegError: floating-point values, or another count of channels.
    """
    rasterio = library()
    with rasterio.Env(GDAL_CACHEMAX=CACHE), rasterio.open(path, driver="GTiff") as found:
        values = found.read(window=slices(window))
    if values.dtype.kind not in "ui":
        raise SemisegError(f"{path} holds floating-point values; save class numbers as 8-bit integers")
    if len(values) == 1:
        return np.asarray(values[0])
    if len(values) not in (3, 4) or values.dtype != np.uint8:
        raise SemisegError(f"{path} has {len(values)} channels; save class numbers in one")
    if len(values) == 4:  # transparent pixels are black, as in masks that are read whole
        values = np.where(values[3] == 0, np.uint8(0), values)
    return np.ascontiguousarray(values[:3].transpose(1, 2, 0))


def mask_parts(path: Path) -> Iterator[np.ndarray]:
    """A mask file as stored, in windows of up to 2048 pixels; see :func:`read_mask_window`."""
    with GeoRaster(path) as raster:
        windows = tiles_of(raster.size, PART)
    return (read_mask_window(path, window) for window in windows)


def check_same_place(mask: Path, image: Path) -> Size:
    """(height, width) of a mask file, which must lie where its image does, if both say where they lie.

    Raises:
        SemisegError: they differ in size, CRS or transform.
    """
    rasterio = library()
    with rasterio.open(mask, driver="GTiff") as first, rasterio.open(image, driver="GTiff") as second:
        if (first.height, first.width) != (second.height, second.width):
            raise SemisegError(
                f"{mask}: mask of {first.height, first.width}, image of {second.height, second.width} (height, width); "
                "make the mask as large as its image"
            )
        placed = not (first.transform.is_identity or second.transform.is_identity)
        back = ~second.transform
        corners = ((0, 0), (first.width, 0), (0, first.height), (first.width, first.height))
        moved = [_at(back, *_at(first.transform, x, y)) for x, y in corners]
        off = max(
            abs(a - b) for one, other in zip(moved, corners, strict=True) for a, b in zip(one, other, strict=True)
        )
        other_crs = first.crs is not None and second.crs is not None and first.crs != second.crs
        if placed and (other_crs or off > SAME_PLACE):
            raise SemisegError(
                f"{mask} does not lie where {image.name} does: another CRS, origin or pixel size; warp it onto its "
                "image, e.g. with gdalwarp"
            )
        return first.height, first.width


def _at(transform: Any, x: float, y: float) -> tuple[float, float]:
    """A point moved by an affine transform."""
    a, b, c, d, e, f = transform[:6]
    return a * x + b * y + c, d * x + e * y + f


def slices(window: Window | None) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """A window in rasterio's words."""
    if window is None:
        return None
    return (window.top, window.top + window.height), (window.left, window.left + window.width)
