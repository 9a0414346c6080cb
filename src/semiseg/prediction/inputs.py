"""The files to predict, and images of any kind as arrays."""

from __future__ import annotations

import glob
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor

from semiseg.data.pictures import DEEP, FORMATS, blank_pixels, is_deep, opened
from semiseg.errors import SemisegError, UsageError
from semiseg.runtime.extras import first_line

if TYPE_CHECKING:
    from semiseg.data.rasters.reader import PixelReader

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg")


def is_video(path: Path) -> bool:
    """Whether the suffix of a file is that of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def find_images(inputs: str | Path | Iterable[str | Path]) -> list[Path]:
    """The files that paths, folders (without their subfolders) and glob patterns stand for, each once, in that order.

    A file that is named itself is taken whatever its suffix. Those of a folder or pattern are chosen by suffix and
    sorted: images (png, jpg, jpeg, bmp, webp, tif, tiff), and videos only by a pattern, since one may take a day.

    Raises:
        SemisegError: a path does not exist, or no file is found.
    """
    named = [inputs] if isinstance(inputs, (str, Path)) else list(inputs)
    found: dict[Path, Path] = {}
    videos: list[Path] = []
    for given in named:
        path = Path(given)
        if path.is_dir():
            files = _among(path.iterdir(), SUFFIXES)
            videos += _among(path.iterdir(), VIDEO_SUFFIXES)
        elif path.exists():
            files = [path]
        elif glob.has_magic(str(given)):
            matches = (Path(match) for match in glob.glob(str(given), recursive=True))
            files = _among(matches, SUFFIXES + VIDEO_SUFFIXES)
        else:
            raise SemisegError(f"{path} does not exist; give image files, folders or patterns such as 'photos/*.jpg'")
        for file in files:
            found.setdefault(file.resolve(), file)
    if not found:
        searched = ", ".join(str(given) for given in named) or "nothing"
        hint = f"; to predict its {len(videos)} videos name them, e.g. {videos[0]}" if videos else ""
        raise SemisegError(f"no images in {searched}: looked for files ending in {' '.join(SUFFIXES)}{hint}")
    return list(found.values())


def _among(paths: Iterable[Path], suffixes: tuple[str, ...]) -> list[Path]:
    # Names that start with a dot ("._photo.jpg") are no images: file managers leave them behind.
    return sorted(p for p in paths if p.suffix.lower() in suffixes and not p.name.startswith(".") and p.is_file())


def read_image(
    path: str | Path,
    any_size: bool = False,
    formats: tuple[str, ...] = FORMATS,
    pixels: PixelReader | None = None,
) -> np.ndarray:
    """An image file, turned upright (EXIF), as uint8 (H,W,3) RGB.

    Pillow refuses more than 179 million pixels, as a guard against files made to fill the memory; ``any_size`` reads
    them. ``formats`` are Pillow's names of the formats to try. ``pixels`` reads images of other channels or more bits,
    uint8 (H,W,C).

    Raises:
        SemisegError: the file cannot be read as an image; the message says why.
    """
    if pixels is not None:
        with _any_size() if any_size else nullcontext():
            return pixels.image(Path(path))
    try:
        with _any_size() if any_size else nullcontext(), opened(Path(path), formats) as picture:
            if is_deep(picture):
                raise SemisegError(f"{path} {DEEP}")
            return _upright(picture)
    except SemisegError:
        raise
    except Exception as error:  # damaged files make decoders raise almost anything: OSError, SyntaxError, struct.error
        raise SemisegError(f"{path} cannot be read as an image: {' '.join(str(error).split())}") from error


def content_missing(path: Path, any_size: bool = False, pixels: PixelReader | None = None) -> np.ndarray | None:
    """Pixels of an image file that are no content, as :func:`semiseg.data.pictures.blank_pixels` or ``pixels``."""
    if pixels is not None:
        return pixels.blank(path)
    with _any_size() if any_size else nullcontext():
        return blank_pixels(path)


class _Limit:
    """Pillow's limit holds for the whole process: the last of several readers of large files restores it."""

    lock = threading.Lock()
    readers = 0
    usual: int | None = None


@contextmanager
def _any_size() -> Iterator[None]:
    with _Limit.lock:
        if not _Limit.readers:
            _Limit.usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _Limit.readers += 1
    try:
        yield
    finally:
        with _Limit.lock:
            _Limit.readers -= 1
            if not _Limit.readers:
                Image.MAX_IMAGE_PIXELS = _Limit.usual


def _upright(picture: Image.Image) -> np.ndarray:
    turned = ImageOps.exif_transpose(picture)
    image = turned if turned.mode == "RGB" else turned.convert("RGB")
    array = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, 256):  # Pillow would make two more copies of the whole
        bottom = min(top + 256, image.height)
        array[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return array


def as_image(
    image: str | Path | Image.Image | np.ndarray | Tensor,
    any_size: bool = False,
    pixels: PixelReader | None = None,
    channels: int = 3,
) -> np.ndarray:
    """A file, a PIL image (turned upright), an array or a tensor as uint8 (H,W,3) RGB.

    Arrays are uint8 (H,W,3) or grey (H,W); tensors (3,H,W), uint8 or floating point in [0,1], rounded to 8 bits. With
    ``pixels`` all but tensors are read as files are, arrays of any type and count of channels among them; tensors have
    ``channels``, mapped to [0,1] already.

    Raises:
        UsageError: anything else.
        SemisegError: a file that cannot be read.
    """
    if isinstance(image, (str, Path)):
        return read_image(image, any_size, pixels=pixels)
    if pixels is not None and isinstance(image, Image.Image):
        image = np.array(ImageOps.exif_transpose(image))
    if pixels is not None and isinstance(image, np.ndarray) and image.ndim in (2, 3) and 0 not in image.shape:
        return pixels.of_array(image)
    if isinstance(image, Image.Image):
        if is_deep(image):
            raise UsageError(f"the PIL image {DEEP}")
        try:
            return _upright(image)
        except Exception as error:  # a PIL image is decoded only here
            raise SemisegError(f"the PIL image cannot be read: {first_line(error)}") from error
    if isinstance(image, Tensor):
        if image.ndim != 3 or image.shape[0] != channels:
            raise UsageError(
                f"a tensor is one image ({channels},H,W), not {tuple(image.shape)}; give images one by one"
            )
        values = image.detach()
        if values.is_floating_point():
            low, high = (float(values.min()), float(values.max())) if values.numel() else (0.0, 0.0)
            if not 0 <= low <= high <= 1:
                raise UsageError(
                    f"a floating-point tensor lies in [0,1], not {low:.3g}..{high:.3g}; undo its normalisation"
                )
            values = (values * 255).round().byte()
        image = values.cpu().permute(1, 2, 0).numpy()
    if not isinstance(image, np.ndarray):
        raise UsageError(f"an image is a path, a PIL image, an array or a tensor, not {type(image).__name__}")
    if image.dtype == np.uint8 and image.ndim == 2 and channels == 3:
        image = image[..., None].repeat(3, axis=2)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != channels or 0 in image.shape:
        raise UsageError(f"an image is uint8 (H,W,3) RGB or (H,W) grey, not {image.dtype} {image.shape}")
    return image.copy()  # the caller may read the next frame into the same array
