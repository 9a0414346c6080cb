"""Images, labels and what is no content at another size."""

from __future__ import annotations

import numpy as np
from PIL import Image

from semiseg.data.base import ImageSet, Resize, Size, resized


def resize_image(image: np.ndarray, resize: Resize) -> np.ndarray:
    """uint8 (H, W, C) → (h, w, C), antialiased bilinear, where (h, w) is ``resize``, or has it as its small side."""
    size = resized((image.shape[0], image.shape[1]), resize)
    if image.shape[:2] == tuple(size):
        return image
    if image.shape[2] != 3:  # Pillow knows no such images: channel by channel, which comes to the same
        return np.stack([_bilinear(image[..., c], size) for c in range(image.shape[2])], axis=2)
    return _bilinear(image, size)


def _bilinear(image: np.ndarray, size: Size) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def resize_label(label: np.ndarray, size: Size) -> np.ndarray:
    """uint8 or float32 (H, W) → ``size``, nearest."""
    if label.shape == tuple(size):
        return label
    return np.asarray(Image.fromarray(label).resize((size[1], size[0]), Image.Resampling.NEAREST))


def resize_blank(blank: np.ndarray, size: Size) -> np.ndarray:
    """bool (H, W) → ``size``, nearest."""
    return resize_label(blank.view(np.uint8), size).view(bool)


class ResizedImages(ImageSet):
    """An image set whose images are resized; its labels keep the original size, where mIoU is measured."""

    def __init__(self, images: ImageSet, resize: Resize) -> None:
        self.images, self.resize = images, resize
        self.info, self.names = images.info, images.names

    def image(self, i: int) -> np.ndarray:
        return resize_image(self.images.image(i), self.resize)

    def size_of(self, i: int) -> Size:
        return resized(self.images.size_of(i), self.resize)

    def label(self, i: int) -> np.ndarray | None:
        return self.images.label(i)

    def has_label(self, i: int) -> bool:
        return self.images.has_label(i)

    def blank(self, i: int) -> np.ndarray | None:
        blank = self.images.blank(i)
        return None if blank is None else resize_blank(blank, resized((blank.shape[0], blank.shape[1]), self.resize))
