"""Image and mask files: reading them, finding them by stem, and an image set made of them."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from semiseg.data.base import IGNORE, ImageSet, Size
from semiseg.data.pictures import DEEP_DATA, blank_pixels, image_size, is_deep, opened, stored_as
from semiseg.data.turning import Drawn, fit_to_image
from semiseg.data.windows import Window
from semiseg.errors import SemisegError

if TYPE_CHECKING:
    from semiseg.data.rasters.reader import PixelReader

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
LOSSY = (".jpg", ".jpeg", ".webp")
PLAIN = ("", "L", "1", "P", "P;1", "P;2", "P;4", "I;16", "I;16B", "I;16N", "RGB", "RGBA")
"""Of a mask: pixels as stored are the numbers meant. ``L;4`` is scaled to 255 on reading, ``L;I`` inverted."""


class ImageFiles(ImageSet):
    """Image files and mask files by name; a name without a mask file is unlabelled."""

    files: dict[str, Path]
    masks: dict[str, Path]
    drawn: Drawn | None = "upright"
    """How masks without an EXIF tag lie on images with one; None: their size says, or it is an error."""
    pixels: PixelReader | None = None
    """What reads images of other channels or more bits; None: Pillow reads them as RGB."""

    def image(self, i: int) -> np.ndarray:
        path = self.files[self.names[i]]
        return read_rgb(path) if self.pixels is None else self.pixels.image(path)

    def size_of(self, i: int) -> Size:
        path = self.files[self.names[i]]
        return (image_size(path) if self.pixels is None else self.pixels.size(path)) or super().size_of(i)

    def blank(self, i: int) -> np.ndarray | None:
        path = self.files[self.names[i]]
        if self.pixels is not None:
            return self.pixels.blank(path)
        try:
            return blank_pixels(path)
        except SemisegError:
            raise
        except Exception as error:  # decoders of damaged files raise nearly anything
            raise SemisegError(f"{path} cannot be read as an image ({error}); replace or remove it") from None

    def has_label(self, i: int) -> bool:
        return self.names[i] in self.masks

    def label(self, i: int) -> np.ndarray | None:
        path, image = self.masks.get(self.names[i]), self.files[self.names[i]]
        if path is None:
            return None
        label = self._fitted(self.read_label(path), path, image)
        blank = self.blank(i)
        return label if blank is None else np.where(blank, np.uint8(IGNORE), label)

    def _fitted(self, label: np.ndarray, mask: Path, image: Path) -> np.ndarray:
        """A mask as the upright image has its pixels; raises as :meth:`label`."""
        if self.pixels is not None and self.pixels.places(image):
            self.pixels.check_mask(mask, image, (label.shape[0], label.shape[1]))
            return label
        try:
            return fit_to_image(label, mask, image, self.drawn)
        except OSError as error:
            raise SemisegError(f"{image} cannot be read as an image ({error}); replace or remove it") from None

    @abstractmethod
    def read_label(self, path: Path) -> np.ndarray:
        """A mask file as classes: uint8 (H, W) with 0…C-1 and 255, whatever its image; raises as :meth:`label`."""

    def read_label_window(self, path: Path, image: Path, window: Window | None) -> np.ndarray:
        """As :meth:`read_label`, of a window inside the mask, or of all of it; it must lie on its image."""
        label = self._fitted(self.read_label(path), path, image)
        return label if window is None else window.cut(label, IGNORE)


def read_rgb(path: Path) -> np.ndarray:
    """An image file, upright, as uint8 (H, W, 3) RGB.

    Raises:
        SemisegError: the file cannot be read, has several pages or more than 8 bits a channel.
    """
    try:
        with opened(path) as image:
            if is_deep(image):
                raise SemisegError(f"{path} {DEEP_DATA}")
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except SemisegError:
        raise
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise SemisegError(f"{path} cannot be read as an image ({error}); replace or remove it") from None


def read_mask(path: Path) -> np.ndarray:
    """A mask file as stored: uint8 or int (H, W) indices, palette files included, or uint8 (H, W, 3) colours.

    It is turned where it has an EXIF orientation of its own. Transparent pixels of a coloured mask are black.

    Raises:
        SemisegError: the file cannot be read, or programs differ on what its values are.
    """
    try:
        with opened(path) as file:
            _check_stored(file, path)
            mask = ImageOps.exif_transpose(file)
            if mask.mode == "F":
                values = _whole(np.array(mask), path)
            elif mask.mode in ("LA", "PA"):  # the index is the first channel, the second only opacity
                values = np.array(mask)[..., 0]
            elif mask.mode in ("L", "P", "1") or mask.mode.startswith("I"):
                values = np.array(mask)
            else:
                values = np.array(mask.convert("RGB"))
                if mask.mode == "RGBA":
                    values[np.array(mask.getchannel("A")) == 0] = 0
    except SemisegError:
        raise
    except Exception as error:
        raise SemisegError(f"{path} cannot be read as a mask ({error}); replace or remove it") from None
    return values.astype(np.uint8) if values.dtype == bool else values


def _whole(values: np.ndarray, path: Path) -> np.ndarray:
    """Numbers that a program such as ImageJ stored as floating point, as int32."""
    found: np.ndarray = values.astype(np.int32)
    if not np.isfinite(values).all() or (found != values).any():
        raise SemisegError(f"{path} holds floating-point values; save class numbers as 8-bit PNG")
    return found


def _check_stored(mask: Image.Image, path: Path) -> None:
    """Refuse masks whose numbers Pillow changes on reading, or that are no numbers."""
    if is_deep(mask) and not mask.mode.startswith(("I", "F")):
        raise SemisegError(f"{path} holds 16-bit colours, of which 8 bits would be read; save it with 8 bits")
    if mask.mode in ("L", "1") and stored_as(mask) not in PLAIN:
        raise SemisegError(
            f"{path} stores grey values inverted or with fewer than 8 bits, which programs read as different numbers; "
            "save class numbers as 8-bit PNG"
        )


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
