"""Which library opens an image file: rasterio, tifffile or Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from semiseg.data.base import Size
from semiseg.data.pictures import DEEP, is_deep, opened, orientation, upright_size
from semiseg.data.rasters import geotiff, microscopy
from semiseg.data.rasters.base import ArrayRaster, Raster
from semiseg.errors import SemisegError
from semiseg.runtime.extras import first_line


def open_raster(path: Path, stack: microscopy.Stack) -> Raster:
    """An image file as numbers: GeoTIFF and very large TIFF by rasterio, other TIFF by tifffile, the rest by Pillow.

    Raises:
        SemisegError: the file cannot be read, holds several pictures or planes of which nothing says which is taken, or
            needs a library that is not installed.
    """
    try:
        if (raster := geotiff.opened(path)) is not None:
            if raster.palette:
                raster.close()
                raise SemisegError(f"{path} stores colours by a palette; save it as RGB")
            return raster
        return microscopy.open_tiff(path, stack) if geotiff.is_tiff(path) else _open_picture(path)
    except SemisegError:
        raise
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise SemisegError(f"{path} cannot be read as an image ({first_line(error)}); replace or remove it") from None


def raster_size(path: Path) -> Size:
    """(height, width) of an upright image from the header of its file; raises as :func:`open_raster`."""
    try:
        if (raster := geotiff.opened(path)) is not None:
            raster.close()
            return raster.size
        if geotiff.is_tiff(path):
            return microscopy.tiff_size(path)
        with opened(path) as image:
            return upright_size(image)
    except SemisegError:
        raise
    except Exception as error:
        raise SemisegError(f"{path} cannot be read as an image ({first_line(error)}); replace or remove it") from None


def _open_picture(path: Path) -> ArrayRaster:
    """PNG, JPEG and others, upright: grey, RGB, or either with opacity."""
    with opened(path) as image:
        if is_deep(image) and not image.mode.startswith(("I", "F")):
            if image.format != "PNG":
                raise SemisegError(f"{path} {DEEP}")
            return microscopy.open_deep_png(path, orientation(image))
        upright = ImageOps.exif_transpose(image)
        if upright.mode not in ("L", "LA", "RGB", "RGBA") and not upright.mode.startswith(("I", "F")):
            upright = upright.convert("L" if upright.mode == "1" else _with_colours(upright))
        values = np.array(upright)
    values = values[..., None] if values.ndim == 2 else values
    return ArrayRaster(path, values.astype(values.dtype.newbyteorder("=")), _alpha(upright.mode, values))


def _with_colours(image: Image.Image) -> str:
    return "RGBA" if image.has_transparency_data else "RGB"


def _alpha(mode: str, values: np.ndarray) -> int | None:
    return values.shape[2] - 1 if mode in ("LA", "RGBA") else None
