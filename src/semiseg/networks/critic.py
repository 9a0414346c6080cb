"""A critic of pixels: fully convolutional, one score for every pixel of a map of classes (Hung et al., BMVC 2018)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.networks.output import upsample
from semiseg.runtime.precision import at_least_single


class PixelCritic(nn.Module):
    """Five 4×4 convolutions of stride 2, 64-128-256-512-1 channels wide, LeakyReLU 0.2, no norm (public code).

    Args:
        num_classes: C, channels of a map.
        width: channels of the first convolution.
    """

    def __init__(self, num_classes: int, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inside, outside in pairwise((num_classes, width, 2 * width, 4 * width, 8 * width)):
            layers += [nn.Conv2d(inside, outside, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, stride=2, padding=1))

    def forward(self, maps: Tensor) -> Tensor:
        """Probabilities or one-hot labels (B, C, H, W) → logits (B, H, W) that a map is a label, float32 at least."""
        height, width = maps.shape[-2:]
        whole = pad_to_multiple(maps, 32)  # each of its scores stands for 32×32 pixels
        scores = upsample(at_least_single(self.layers(whole)), whole.shape[-2:])
        return scores[:, 0, :height, :width]


def pad_to_multiple(maps: Tensor, side: int) -> Tensor:
    """(B, C, H, W) filled up with zeros at the bottom and right, so that H and W are multiples of ``side``."""
    height, width = maps.shape[-2:]
    return F.pad(maps, (0, -width % side, 0, -height % side))


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Labels (B, H, W) → maps (B, C, H, W) float32, zero in every channel where there is none of the classes."""
    classes = torch.arange(num_classes, device=labels.device)
    return (labels[:, None] == classes[:, None, None]).float()
