"""Opening image files: which may be read, how their pixels are stored, how they are turned, and what is no content."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from semiseg.data.base import Size
from semiseg.errors import SemisegError

FORMATS = ("PNG", "JPEG", "BMP", "DIB", "WEBP", "TIFF", "GIF", "PPM", "JPEG2000", "TGA", "PCX", "SGI")
"""Formats that are opened, whatever the name of a file: for others Pillow might run Ghostscript."""
DEEP = "holds 16-bit or floating-point values; convert it to 8 bits"
DEEP_DATA = f"{DEEP}, or set data.intensity, e.g. data.intensity=image"
TURNED = (5, 6, 7, 8)  # EXIF orientations that swap height and width
_BITS, _SUBFILE, _ORIENTATION, _NO_DATA = 258, 254, 0x0112, 42113  # TIFF tags; the last is GDAL's
_SMALLER, _MASK = 1, 4  # bits of _SUBFILE: an overview of another page, and which of its pixels are valid
_SEQUENCES = ("TIFF", "GIF", "WEBP", "PNG")  # not MPO: a camera's JPEG with previews behind the picture


@contextmanager
def opened(path: Path, formats: tuple[str, ...] = FORMATS) -> Iterator[Image.Image]:
    """An image file, not yet decoded; ``formats`` as :func:`PIL.Image.open` takes them.

    Raises:
        SemisegError: a pipe, socket, device or folder of that name, which would never end, or several pages.
    """
    if path.exists() and not path.is_file():
        raise SemisegError(f"{path} is a folder, pipe, socket or device, not an image file; remove it")
    with Image.open(path, formats=formats) as image:
        if (pages := count_pages(image)) > 1:
            raise SemisegError(
                f"{path} holds {pages} pages, of which one would be read; save each as a file of its own"
            )
        if image.format == "TIFF" and orientation(image) in TURNED:
            image.filename = ""  # Pillow maps uncompressed grey files into memory, and garbles those on their side
        yield image


def count_pages(image: Image.Image) -> int:
    """Pictures in a file; overviews of a picture and the masks of its valid pixels, as GDAL writes them, are none."""
    frames = getattr(image, "n_frames", 1) if image.format in _SEQUENCES else 1
    if frames == 1 or image.format != "TIFF":
        return int(frames)
    return sum(not kind & (_SMALLER | _MASK) for kind in _subfiles(image, frames))


def is_deep(image: Image.Image) -> bool:
    """Whether a channel holds more than 8 bits, or fractions; to be asked before decoding.

    Of such colours Pillow keeps the upper 8 bits: 12-bit values would become 0 to 15.
    """
    if image.mode.startswith(("I", "F")):
        return True
    if image.format == "TIFF":
        return bool(max(np.atleast_1d(image.tag_v2.get(_BITS, 1))) > 8)  # type: ignore[attr-defined]
    return image.format == "PNG" and stored_as(image).endswith(";16B")


def stored_as(image: Image.Image) -> str:
    """Pillow's word for the pixels in the file, such as ``L;4`` for 4 bits a pixel, before decoding; else empty."""
    tiles = getattr(image, "tile", None)
    word = tiles[0][3] if tiles else ""
    return str(word[0] if isinstance(word, tuple) and word else word)


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8, from the header; 1 is upright."""
    # Pillow decodes a whole PNG to look for a tag that its header does not announce.
    tagged = image.format != "PNG" or "exif" in image.info
    value = image.getexif().get(_ORIENTATION, 1) if tagged else 1
    return value if value in range(1, 9) else 1


def image_size(path: Path) -> Size | None:
    """(height, width) of an upright image, from the header of its file; None where that cannot be read."""
    with suppress(Exception), opened(path) as image:  # damaged files raise nearly anything; reading them names them
        return upright_size(image)
    return None


def upright_size(image: Image.Image) -> Size:
    """(height, width) of an opened image once it is upright."""
    # Of a TIFF, some versions of Pillow give the upright size, others the stored one.
    tags = getattr(image, "tag_v2", None)
    width, height = image.size if tags is None else (tags[256], tags[257])
    return (width, height) if orientation(image) in TURNED else (height, width)


def blank_pixels(path: Path) -> np.ndarray | None:
    """Pixels that the file says are no content, bool (H, W), upright: fully transparent, or of its no-data value.

    Only files with an alpha channel, a transparent colour, GDAL's no-data tag or its mask of valid pixels are decoded;
    None for all others, and where every pixel counts. A pixel that is partly transparent counts.

    Raises:
        SemisegError: as :func:`opened`.
    """
    with opened(path) as image:
        tags = getattr(image, "tag_v2", {})
        no_data = _number(tags.get(_NO_DATA))
        frames = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        masks = [i for i, kind in enumerate(_subfiles(image, frames)) if kind & _MASK] if frames > 1 else []
        found: list[np.ndarray] = []
        if no_data is not None:
            values = np.array(ImageOps.exif_transpose(image))
            found.append((values == no_data).reshape(*values.shape[:2], -1).all(axis=2))
        if image.has_transparency_data:
            found.append(np.array(ImageOps.exif_transpose(image).convert("RGBA").getchannel("A")) == 0)
        size = upright_size(image)
        for page in masks:
            image.seek(page)
            valid = np.array(ImageOps.exif_transpose(image).convert("L"))
            if valid.shape == size:  # an overview has a mask of its own
                found.append(valid == 0)
    hidden = np.logical_or.reduce(found) if found else None
    return hidden if hidden is not None and hidden.any() else None


def _subfiles(image: Image.Image, frames: int) -> list[int]:
    """What each page of a TIFF is; the first page is current again afterwards."""
    kinds = []
    for i in range(frames):
        image.seek(i)
        kinds.append(int(image.tag_v2.get(_SUBFILE, 0)))  # type: ignore[attr-defined]
    image.seek(0)
    return kinds


def _number(text: object) -> float | None:
    try:
        return float(str(text).strip("\0 "))
    except ValueError:
        return None
