"""A critic of whole images: one score for an image and its map of classes (Mittal et al., TPAMI 2021)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.networks.channel_dropout import drop_channels
from semiseg.networks.critic import pad_to_multiple
from semiseg.runtime.precision import at_least_single


class ImageCritic(nn.Module):
    """Four 4×4 convolutions of stride 2, 64-128-256-512 channels wide, LeakyReLU 0.2, global average, linear.

    The average is over however many places there are, so that any size of crop is scored; the public code has windows
    of 20×20 and 16×32 that fit its own crops.

    Args:
        num_classes: C, channels of a map.
        width: channels of the first convolution.
        dropout: share of the channels, below 1, that are left out behind each of the first three convolutions.
        channels: of the images.
    """

    def __init__(self, num_classes: int, width: int = 64, dropout: float = 0.5, channels: int = 3) -> None:
        super().__init__()
        widths = (num_classes + channels, width, 2 * width, 4 * width, 8 * width)
        self.dropout = dropout
        self.layers = nn.ModuleList(nn.Conv2d(*pair, 4, stride=2, padding=1) for pair in pairwise(widths))
        self.linear = nn.Linear(8 * width, 1)

    def forward(self, maps: Tensor, images: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """maps (B, C, H, W) and images (B, channels, H, W), both in [0, 1]; nothing is left out in eval mode.

        Returns:
            Logits (B,) that a map is a label, and the averaged features (B, 8·width), float32 at least.
        """
        x = pad_to_multiple(torch.cat([maps, images], dim=1), 16)
        for number, layer in enumerate(self.layers):
            x = F.leaky_relu(layer(x), 0.2)
            if number < len(self.layers) - 1 and self.training:
                x = drop_channels(x, self.dropout, draws)
        features = at_least_single(x).mean(dim=(2, 3))
        return at_least_single(self.linear(features))[:, 0], features
