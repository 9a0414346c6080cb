"""Image and mask files: reading them, finding them by stem, and an image set made of them."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from semiseg.data.base import ImageSet
from semiseg.errors import SemisegError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
LOSSY = (".jpg", ".jpeg", ".webp")


class ImageFiles(ImageSet):
    """Image files and mask files by name; a name without a mask file is unlabelled."""

    files: dict[str, Path]
    masks: dict[str, Path]

    def image(self, i: int) -> np.ndarray:
        return read_rgb(self.files[self.names[i]])

    def has_label(self, i: int) -> bool:
        return self.names[i] in self.masks

    def label(self, i: int) -> np.ndarray | None:
        path = self.masks.get(self.names[i])
        return None if path is None else self.read_label(path)

    @abstractmethod
    def read_label(self, path: Path) -> np.ndarray:
        """A mask file as classes: uint8 (H, W) with 0…C-1 and 255; raises as :meth:`label`."""


def read_rgb(path: Path) -> np.ndarray:
    """An image file, upright, as uint8 (H, W, 3) RGB.

    Raises:
        SemisegError: the file cannot be read.
    """
    try:
        with Image.open(path) as image:
            if is_deep(image.mode):
                raise SemisegError(f"{path} holds 16-bit or floating-point grey values; convert it to 8 bits")
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except SemisegError:
        raise
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise SemisegError(f"{path} cannot be read as an image ({error}); replace or remove it") from None


def is_deep(mode: str) -> bool:
    """Whether a Pillow mode holds 16 bits or more, or fractions: as RGB, Pillow would clip such values to white."""
    return mode.startswith(("I", "F"))


def read_mask(path: Path) -> np.ndarray:
    """A mask file as stored: uint8 or int (H, W) indices, palette files included, or uint8 (H, W, 3) colours.

    Raises:
        SemisegError: the file cannot be read.
    """
    try:
        with Image.open(path) as mask:
            if mask.mode == "F":
                raise SemisegError(f"{path} holds floating-point values; save class numbers as 8-bit PNG")
            if mask.mode in ("LA", "PA"):  # the index is the first channel, the second only opacity
                values = np.array(mask)[..., 0]
            else:
                values = np.array(mask if mask.mode in ("L", "P", "1") or is_deep(mask.mode) else mask.convert("RGB"))
    except SemisegError:
        raise
    except Exception as error:
        raise SemisegError(f"{path} cannot be read as a mask ({error}); replace or remove it") from None
    return values.astype(np.uint8) if values.dtype == bool else values


def files_by_stem(folder: Path) -> dict[str, Path]:
    """Image files of a folder by stem, sorted.

    Raises:
        SemisegError: two files share a stem.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in found:
            raise SemisegError(f"{path} and {found[path.stem].name} share a stem; rename one, masks are found by stem")
        found[path.stem] = path
    return found


def contents(folder: Path) -> str:
    """The first names in a folder, for messages."""
    if not folder.is_dir():
        return "no such folder"
    return ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
