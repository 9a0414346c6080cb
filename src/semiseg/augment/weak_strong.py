"""Weak and strong augmentation: Table 1 of Alonso et al., ICCV 2021 (section 4.2), without its ClassMix row.

| Table 1                    | weak         | strong       | field of :class:`Strength`    |
|----------------------------|--------------|--------------|-------------------------------|
| flip probability           | 0.50         | 0.50         | ``flip``                      |
| resize ×[0.75, 1.75], prob.| 0.50         | 0.80         | ``resize``, ``resize_range``  |
| colour jittering prob.     | 0.20         | 0.80         | ``jitter``                    |
| brightness, max intensity  | 0.15         | 0.30         | ``brightness``                |
| contrast, max intensity    | 0.15         | 0.30         | ``contrast``                  |
| saturation, max intensity  | 0.075        | 0.15         | ``saturation``                |
| hue, max intensity         | 0.05         | 0.10         | ``hue``                       |
| Gaussian blur probability  | 0            | 0.20         | ``blur``                      |
| ClassMix probability       | 0.20         | 0.80         | ``classmix`` (see ``mixing``) |

All draws come from one CPU generator, image by image, so a seed means the same views on every device, and
which images are touched is known without asking the device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from semiseg.augment.colour import BLUR_RADIUS, gaussian_blur, grey_of, jitter
from semiseg.augment.geometry import Context, mirror, move, move_as, rescale
from semiseg.errors import UsageError

BLUR_SIGMA = (0.15, 1.15)  # pixels; Table 1 gives none: ClassMix's range (code of Olsson et al., 2021)


@dataclass(frozen=True)
class Strength:
    """One column of Table 1. Probabilities are per image; intensities are the largest deviation.

    Raises:
        UsageError: for a probability or intensity outside its range.
    """

    flip: float
    """Probability of a horizontal flip (Table 1, row 1)."""
    resize: float
    """Probability of a resize (row 2)."""
    jitter: float
    """Probability of colour jitter, all four parts together (row 3)."""
    brightness: float
    """Factor in 1 ± this (row 4)."""
    contrast: float
    """Factor in 1 ± this, about the image's mean grey (row 5)."""
    saturation: float
    """Factor of HSV saturation in 1 ± this (row 6)."""
    hue: float
    """Shift of HSV hue in ± this, in full circles (row 7)."""
    blur: float
    """Probability of Gaussian blur (row 8)."""
    classmix: float
    """Probability of ClassMix (row 9); used by the caller, not by :func:`augment`."""
    resize_range: tuple[float, float] = (0.75, 1.75)
    """Scale drawn uniformly from this range (row 2)."""
    grey: float = 0.0
    """Probability that a picture loses its colour, after the jitter; none in Table 1."""
    blur_sigma: tuple[float, float] = BLUR_SIGMA
    """Sigma of the blur in pixels, drawn uniformly from this range; at most ``BLUR_RADIUS`` / 2."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            highest = 0.5 if name == "hue" else 1.0
            if name not in ("resize_range", "blur_sigma") and not 0 <= value <= highest:
                raise UsageError(f"augmentation: {name} is {value}; set it between 0 and {highest:g}")
        low, high = self.resize_range
        if not 0 < low <= high < math.inf:
            raise UsageError(f"augmentation: resize_range is {low, high}; set 0 < low <= high")
        low, high = self.blur_sigma
        if not 0 < low <= high <= BLUR_RADIUS / 2:
            raise UsageError(f"augmentation: blur_sigma is {low, high}; set 0 < low <= high <= {BLUR_RADIUS / 2:g}")

    @property
    def smallest_scale(self) -> float:
        """The least that an image may be resized by, at most 1: a view shows up to 1/this of the crop's side."""
        return min(1.0, self.resize_range[0]) if self.resize else 1.0


# fmt: off
WEAK = Strength(
    flip=0.50, resize=0.50, jitter=0.20, brightness=0.15, contrast=0.15, saturation=0.075, hue=0.05,
    blur=0.0, classmix=0.20,
)
"""Table 1, left: labelled images."""
STRONG = Strength(
    flip=0.50, resize=0.80, jitter=0.80, brightness=0.30, contrast=0.30, saturation=0.15, hue=0.10,
    blur=0.20, classmix=0.80,
)
"""Table 1, right: unlabelled images."""
# fmt: on
WEAK_REFERENCE = replace(WEAK, brightness=0.125, contrast=0.125, saturation=0.0625, hue=0.0417)
"""The weak set with the jitter of the authors' code."""
STRONG_REFERENCE = replace(STRONG, brightness=0.25, contrast=0.25, saturation=0.125, hue=0.083, classmix=0.75)
"""The strong set with the jitter and the ClassMix probability of the authors' code."""

WIDE = Strength(
    flip=0.50, resize=1.0, jitter=0.80, brightness=0.50, contrast=0.50, saturation=0.50, hue=0.25,
    blur=0.50, classmix=0.0, resize_range=(0.5, 2.0), grey=0.20, blur_sigma=(0.1, 2.0),
)  # fmt: skip
"""Unlabelled images of UniMatch (Yang et al., public code), which resizes all of them."""


class Draws(NamedTuple):
    """Everything random about a batch of views: uniform numbers in [0, 1), each (B,) float32 on the CPU."""

    flip: Tensor
    resize: Tensor
    scale: Tensor
    offset_y: Tensor
    offset_x: Tensor
    jitter: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    blur: Tensor
    sigma: Tensor
    grey: Tensor | None = None


def draw(batch: int, generator: torch.Generator, grey: bool = False) -> Draws:
    """Draw for ``batch`` images; whatever the strength, as many numbers: strengths compare under one seed.

    ``grey``, which Table 1 has not, is drawn after all others, and only where it is asked for.
    """
    found = torch.rand(batch, len(Draws._fields) - 1, generator=generator).unbind(1)
    return Draws(*found)._replace(grey=torch.rand(batch, generator=generator) if grey else None)


def augment(
    images: Tensor,
    labels: Tensor,
    confidence: Tensor | None,
    strength: Strength,
    generator: torch.Generator,
    fill: float = 0.5,
    ignore_index: int = 255,
    context: Context | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """One random view of every image: flip, resize, colour jitter, grey and blur, each drawn by itself (Table 1).

    Labels and confidence follow the geometry. An image that nothing was drawn for comes out bit-exact. Inputs
    are not modified, but may be returned themselves. No gradients.

    Args:
        images: (B, channels, H, W) float in [0, 1]; other channels than three have no saturation and no hue, which are
            left as they are then.
        labels: (B, H, W) integers.
        confidence: (B, H, W) float, or None.
        strength: probabilities and intensities.
        generator: CPU generator of all draws.
        fill: image value outside a reduced image, where the label is ``ignore_index`` and the confidence 0.
        ignore_index: see ``fill``.
        context: images, labels and confidence (where given) around these crops; a reduced image is filled up from it.

    Returns:
        images, labels, confidence with the shapes, dtypes and devices they came with.

    Raises:
        UsageError: when the shapes do not belong together.
    """
    draws = draw(len(images), generator, strength.grey > 0)
    return apply_draws(images, labels, confidence, strength, draws, fill, ignore_index, context)


@torch.no_grad()
def apply_draws(
    images: Tensor,
    labels: Tensor,
    confidence: Tensor | None,
    strength: Strength,
    draws: Draws,
    fill: float = 0.5,
    ignore_index: int = 255,
    context: Context | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """:func:`augment` for given draws: image b depends on row b of the draws only."""
    maps = [labels] if confidence is None else [labels, confidence]
    shape = (len(labels), *labels.shape[1:])
    if (
        labels.ndim != 3
        or images.ndim != 4
        or (len(images), *images.shape[2:]) != shape
        or any(values.shape != labels.shape for values in maps)
    ):
        raise UsageError(
            f"augment: shapes {', '.join(str(tuple(values.shape)) for values in (images, *maps))}; "
            "give images (B, channels, H, W), labels (B, H, W) and confidence (B, H, W) or None"
        )
    if context is not None:
        _check_context([images, *maps], context)
    images, *maps = _geometry(images, maps, strength, draws, (fill, ignore_index, 0.0)[: 1 + len(maps)], context)
    return _colour(images, strength, draws), maps[0], maps[1] if len(maps) == 2 else None


def _check_context(crops: list[Tensor], context: Context) -> None:
    (height, width), (outer_height, outer_width) = crops[0].shape[2:], context.tensors[0].shape[2:]
    wanted = [(*values.shape[:-2], outer_height, outer_width) for values in crops]
    found = [tuple(values.shape) for values in context.tensors]
    if found != wanted or outer_height < height or outer_width < width:
        raise UsageError(
            f"augment: context of shapes {', '.join(map(str, found))} around crops of {height}x{width}; give the same "
            "tensors as of the crops, all of one size, which is not smaller"
        )


def _geometry(
    images: Tensor,
    maps: list[Tensor],
    strength: Strength,
    draws: Draws,
    outside: tuple[float, ...],
    context: Context | None,
) -> list[Tensor]:
    """Images and maps flipped and resized; ``outside`` holds the padding of each."""
    flip, resize = draws.flip < strength.flip, draws.resize < strength.resize
    tensors = mirror([images, *maps], (flip & ~resize).nonzero()[:, 0])
    chosen = resize.nonzero()[:, 0]
    scale = _between(draws.scale[chosen], *strength.resize_range)
    offsets = draws.offset_y[chosen], draws.offset_x[chosen]
    return rescale(tensors, chosen, scale, *offsets, flip[chosen], outside, context)


def _colour(images: Tensor, strength: Strength, draws: Draws) -> Tensor:
    """Images jittered, some without colour, and blurred."""
    chosen = (draws.jitter < strength.jitter).nonzero()[:, 0]
    if len(chosen):
        index = move(chosen, images)
        brightness, contrast, saturation, hue = (
            move_as(_between(getattr(draws, name)[chosen], centre - most, centre + most), images)
            for name, centre, most in (
                ("brightness", 1, strength.brightness),
                ("contrast", 1, strength.contrast),
                ("saturation", 1, strength.saturation),
                ("hue", 0, strength.hue),
            )
        )
        images = images.index_copy(0, index, jitter(images[index], brightness, contrast, saturation, hue))
    if draws.grey is not None and len(chosen := (draws.grey < strength.grey).nonzero()[:, 0]):
        index = move(chosen, images)
        images = images.index_copy(0, index, grey_of(images[index])[:, None].expand(-1, 3, -1, -1))
    chosen = (draws.blur < strength.blur).nonzero()[:, 0]
    if len(chosen):
        index = move(chosen, images)
        sigma = move_as(_between(draws.sigma[chosen], *strength.blur_sigma), images)
        images = images.index_copy(0, index, gaussian_blur(images[index], sigma))
    return images


def _between(uniform: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * uniform
