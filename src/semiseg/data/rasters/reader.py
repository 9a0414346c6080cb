"""Image files as uint8 arrays of any count of channels, as ``data.channels`` and ``data.intensity`` say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from semiseg.data.base import Size
from semiseg.data.rasters import geotiff
from semiseg.data.rasters.base import ArrayRaster, Raster
from semiseg.data.rasters.intensity import PixelSettings, Ranges, chosen, mapped, ranges_of
from semiseg.data.rasters.opening import open_raster, raster_size
from semiseg.data.windows import Window
from semiseg.errors import SemisegError
from semiseg.runtime.extras import first_line


class OpenPicture(NamedTuple):
    """An opened file, the channels that are taken of it (counted from 0) and what becomes 0 and 255 of each."""

    raster: Raster
    taken: list[int]
    ranges: Ranges | None

    @property
    def size(self) -> Size:
        """(height, width) in pixels."""
        return self.raster.size

    def image(self, window: Window | None = None) -> np.ndarray:
        """uint8 (h, w, C) of the whole or of a window inside the picture, 0 where there is no content."""
        image = mapped(self.raster.read(self.taken, window), self.ranges)
        valid = self.valid(window)
        return image if valid is None else np.where(valid[..., None], image, np.uint8(0))

    def valid(self, window: Window | None = None) -> np.ndarray | None:
        """bool (h, w): pixels that are content; None where all are."""
        return self.raster.valid(self.taken, window)


class PixelReader:
    """Reads files as ``settings`` say; may be sent to worker processes.

    Where each image has percentiles of its own they are measured once for a file and kept, so that a window is mapped
    as the whole is.
    """

    def __init__(self, settings: PixelSettings) -> None:
        self.settings = settings
        self._known: dict[tuple[str, int], Ranges | None] = {}

    @contextmanager
    def open(self, path: Path) -> Iterator[OpenPicture]:
        """A file, opened, to read any windows of it.

        Raises:
            SemisegError: it cannot be read, has other channels than the settings name, or more than 8 bits and no
                ``intensity``.
        """
        try:
            with open_raster(path, self.settings.stack) as raster:
                yield self._picture(raster)
        except SemisegError:
            raise
        except OSError as error:
            raise SemisegError(f"{path} cannot be read as an image ({first_line(error)}); replace it") from None

    def image(self, path: Path, window: Window | None = None) -> np.ndarray:
        """uint8 (h, w, C); raises as :meth:`open`."""
        with self.open(path) as picture:
            return picture.image(window)

    def blank(self, path: Path, window: Window | None = None) -> np.ndarray | None:
        """bool (h, w): pixels that are no content; None where all are; raises as :meth:`open`."""
        with self.open(path) as picture:
            valid = picture.valid(window)
        return None if valid is None or valid.all() else ~valid

    def size(self, path: Path) -> Size:
        """(height, width) from the header; raises as :meth:`open`."""
        return raster_size(path)

    def of_array(self, values: np.ndarray, name: str = "the array") -> np.ndarray:
        """An array (H, W) or (H, W, C) of any type, as a file of it would be read; raises as :meth:`open`."""
        values = values[..., None] if values.ndim == 2 else values
        return self._picture(ArrayRaster(Path(name), values)).image()

    def places(self, image: Path) -> bool:
        """Whether :meth:`check_mask` says how a mask must lie on this image; of others Pillow knows, and their EXIF."""
        return geotiff.is_tiff(image)

    def check_mask(self, mask: Path, image: Path, size: Size) -> None:
        """Refuse a mask of ``size`` that does not lie on its image.

        Raises:
            SemisegError: another size, or two GeoTIFF files of different places.
        """
        if geotiff.reads(mask) and geotiff.reads(image):
            geotiff.check_same_place(mask, image)
        elif size != (found := self.size(image)):
            raise SemisegError(
                f"{mask}: mask of {size}, image of {found} (height, width); make the mask as large as its image"
            )

    def _picture(self, raster: Raster) -> OpenPicture:
        taken = chosen(raster, self.settings.channels)
        if self.settings.intensity != "image" or not raster.path.is_file():
            return OpenPicture(raster, taken, ranges_of(raster, taken, self.settings))
        key = str(raster.path), raster.path.stat().st_mtime_ns
        if key not in self._known:
            self._known[key] = ranges_of(raster, taken, self.settings)
        return OpenPicture(raster, taken, self._known[key])
