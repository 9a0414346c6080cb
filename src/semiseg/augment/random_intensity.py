"""A few operations on colours, drawn anew for every image and of any strength (AugSeg, Zhao et al., CVPR 2023)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.augment.colour import gaussian_blur, grey_of, jitter
from semiseg.augment.geometry import move, move_as

Operation = Callable[[Tensor, Tensor, Tensor], Tensor]
"""images (n, C, H, W) in [0, 1]; (n, H, W) bool, where they show an image; strength (n,) in [0, 1) → images."""


@torch.no_grad()
def random_intensity(images: Tensor, inside: Tensor, generator: torch.Generator, most: int = 3) -> Tensor:
    """One to ``most`` of ``OPERATIONS``, one after the other, for every image; each may come twice.

    What an operation asks of a whole image, such as its mean grey, is asked of the pixels that show one. Padding comes
    out as any colour that depends on nothing but these.

    Args:
        images: (B, 3, H, W) float in [0, 1], RGB; left alone. Of other channels than three "colour" mixes each with
            the mean of all, and "hue" changes nothing.
        inside: (B, H, W) bool: false on padding.
        generator: CPU generator of all draws.
        most: operations an image, at most.
    """
    batch = len(images)
    count = torch.randint(1, most + 1, (batch,), generator=generator)
    choice = torch.randint(len(OPERATIONS), (batch, most), generator=generator)
    strength = torch.rand(batch, most, generator=generator)
    for turn in range(most):
        images = _filled(images, inside)
        for number, operation in enumerate(OPERATIONS.values()):
            chosen = ((choice[:, turn] == number) & (turn < count)).nonzero()[:, 0]
            if len(chosen):
                index = move(chosen, images)
                changed = operation(images[index], inside[index], move_as(strength[chosen, turn], images))
                images = images.index_copy(0, index, changed.clamp(0, 1))
    return images


def _filled(images: Tensor, inside: Tensor) -> Tensor:
    """Padding in the mean colour of the image."""
    shown = inside[:, None]
    mean = (images * shown).sum((2, 3), keepdim=True) / shown.sum((2, 3), keepdim=True).clamp_min(1)
    return torch.where(shown, images, mean.to(images.dtype))


def autocontrast(images: Tensor, inside: Tensor, strength: Tensor) -> Tensor:
    """Every channel stretched to [0, 1]; one of a single value is left as it is."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / (high - low).clamp_min(1e-6), images)


def equalise(images: Tensor, inside: Tensor, strength: Tensor) -> Tensor:
    """Every channel's 256 levels spread by how many pixels lie below each; the lowest becomes 0, the highest 1."""
    levels = (images * 255).round().long().flatten(2)
    shown = inside[:, None].expand_as(images).flatten(2).to(images.dtype)
    counts = images.new_zeros(*images.shape[:2], 256).scatter_add(2, levels, shown)
    below = counts.cumsum(2) - counts
    highest = torch.where(counts > 0, below, 0).amax(2, keepdim=True)  # what lies below the highest level
    table = (below / highest.clamp_min(1)).clamp(0, 1)
    spread = table.gather(2, levels).view_as(images)
    return torch.where(highest[..., None] > 0, spread, images)


def brightness(images: Tensor, inside: Tensor, strength: Tensor) -> Tensor:
    """Mixed with black."""
    return images * _factor(strength)


def contrast(images: Tensor, inside: Tensor, strength: Tensor) -> Tensor:
    """Mixed with the image's mean grey."""
    return torch.lerp(_grey(images).mean((2, 3), keepdim=True), images, _factor(strength))


def colour(images: Tensor, inside: Tensor, strength: Tensor) -> Tensor:
    """Mixed with its grey."""
    return torch.lerp(_grey(images).expand_as(images), images, _factor(strength))


def sharpness(images: Tensor, inside: Tensor, strength: Tensor) -> Tensor:
    """Mixed with a smoothed image: a pixel counts 5, its eight neighbours 1 each."""
    around = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return torch.lerp((9 * around + 4 * images) / 13, images, _factor(strength))


def posterise(images: Tensor, inside: Tensor, strength: Tensor) -> Tensor:
    """Of the eight bits, the first four to seven."""
    step = 2.0 ** (8 - (4 + 4 * strength).floor())[:, None, None, None]
    return ((images * 255).round() / step).floor() * step / 255


def solarise(images: Tensor, inside: Tensor, strength: Tensor) -> Tensor:
    """What is as bright as a threshold in 1…256, of 255, is inverted."""
    return torch.where(images * 255 >= (1 + 256 * strength).floor()[:, None, None, None], 1 - images, images)


def hue(images: Tensor, inside: Tensor, strength: Tensor) -> Tensor:
    """Turned by up to half a circle, in either direction."""
    same = torch.ones_like(strength)
    return jitter(images, same, same, same, strength - 0.5)


OPERATIONS: dict[str, Operation] = {
    "identity": lambda images, inside, strength: images,
    "autocontrast": autocontrast,
    "equalise": equalise,
    "blur": lambda images, inside, strength: gaussian_blur(images, 0.1 + 1.9 * strength),
    "contrast": contrast,
    "brightness": brightness,
    "colour": colour,
    "sharpness": sharpness,
    "posterise": posterise,
    "solarise": solarise,
    "hue": hue,
}
"""Zhao et al. and public descriptions of its table; no operation moves a pixel."""


def _factor(strength: Tensor) -> Tensor:
    """0.05 to 0.95 for a batch of images."""
    return (0.05 + 0.9 * strength)[:, None, None, None]


def _grey(images: Tensor) -> Tensor:
    """(n, 1, H, W)"""
    return grey_of(images)[:, None]
