"""The colour part of Table 1: jitter of brightness, contrast, saturation and hue, and Gaussian blur, image by image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BLUR_RADIUS = 4  # pixels: 3.5 of the largest sigma of Table 1, 2 of the largest that is taken
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: the grey that contrast is measured from


def jitter(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Brightness, contrast, saturation and hue, in this order, clamped to [0, 1] after each.

    Brightness multiplies; contrast stretches about the image's mean grey; saturation multiplies HSV
    saturation; hue turns HSV hue. Images of one, two, four or more channels have neither saturation nor hue: the first
    two act alone, and grey is the mean of the channels.

    Args:
        images: (n, 3, H, W) in [0, 1], RGB, or (n, C, H, W) of other channels.
        brightness, contrast, saturation: (n,) factors, at least 0.
        hue: (n,) in full circles.
    """
    images = (images * brightness[:, None, None, None]).clamp_(0, 1)
    grey = grey_of(images).mean((1, 2))
    images = torch.lerp(grey[:, None, None, None], images, contrast[:, None, None, None]).clamp_(0, 1)
    if images.shape[1] != 3:
        return images

    # HSV without leaving RGB: value and chroma are enough to write a turned, (de)saturated pixel.
    red, green, blue = images.unbind(1)
    value = images.amax(1)
    chroma = value - images.amin(1)
    divisor = torch.where(chroma == 0, 1, chroma)  # grey pixels have no hue: any will do
    sextant = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    sextant = sextant + 6 * hue[:, None, None]
    chroma = torch.minimum(chroma * saturation[:, None, None], value)  # HSV saturation is chroma / value <= 1
    channels = []
    for shift in (5, 3, 1):  # red, green, blue
        distance = torch.remainder(sextant + shift, 6)
        channels.append(value - chroma * torch.minimum(distance, 4 - distance).clamp_(0, 1))
    return torch.stack(channels, 1)


def grey_of(images: Tensor) -> Tensor:
    """Luma (n, H, W) of RGB images (n, 3, H, W); of other channels their mean."""
    if images.shape[1] != 3:
        return images.mean(dim=1)
    red, green, blue = images.unbind(1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of (n, C, H, W) images in [0, 1] by their own sigma (n,) in pixels; edges are repeated.

    Shifted sums rather than a convolution: exact under autocast and TF32, and no slower.
    """
    offsets = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=sigma.device, dtype=sigma.dtype)
    weights = torch.exp(-((offsets / sigma[:, None]) ** 2) / 2)
    weights = (weights / weights.sum(1, keepdim=True))[:, :, None, None, None]
    for axis in (-1, -2):
        border = (BLUR_RADIUS, BLUR_RADIUS, 0, 0) if axis == -1 else (0, 0, BLUR_RADIUS, BLUR_RADIUS)
        padded, size = F.pad(images, border, mode="replicate"), images.shape[axis]
        images = padded.narrow(axis, 0, size) * weights[:, 0]
        for tap in range(1, 2 * BLUR_RADIUS + 1):
            images.addcmul_(padded.narrow(axis, tap, size), weights[:, tap])
    return images.clamp_(0, 1)
