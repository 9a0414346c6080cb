"""How alike positions of an image are, and logits carried to each from those like it (CorrMatch, Sun et al., 2024)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.networks.channel_dropout import drop_channels
from semiseg.runtime.precision import at_least_single, not_halved


class Correlation(nn.Module):
    """A = softmax(f_1ᵀ f_2 / √D) of two linear maps of reduced features: row i says whom position i resembles.

    Sun et al.: 3x3 convolution, BatchNorm, ReLU and dropout, then two 1x1 convolutions.

    Args:
        channels: of the features, the backbone's last map.
        width: D (public description: 256).
        dropout: share of the reduced channels that is dropped in training (public description: 0.1).
    """

    def __init__(self, channels: int, width: int = 256, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = dropout
        convolution = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.reduce = nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())
        self.query, self.key = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor, shown: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """features (B, D', h, w), shown (B, h, w) bool → (B, N, N) float32 at least, N = h·w, rows of sum 1.

        Nothing resembles a position that is not shown, and its own features are not seen; where none is shown a row is
        0. ``generator`` (CPU) drops channels; None: nothing is dropped.
        """
        reduced = self.reduce(features * shown[:, None])
        if generator is not None:
            reduced = drop_channels(reduced, self.dropout, generator)
        query, key = (at_least_single(layer(reduced)).flatten(2) for layer in (self.query, self.key))
        with not_halved(query.device):  # thousands of positions share a row
            alike = query.transpose(1, 2) @ key / query.shape[1] ** 0.5
        elsewhere = ~shown.flatten(1)[:, None]
        weights = alike.masked_fill(elsewhere, torch.finfo(alike.dtype).min).softmax(dim=2)
        return weights.masked_fill(elsewhere, 0)


def propagate(correlation: Tensor, logits: Tensor) -> Tensor:
    """Logits (B, C, h, w) of each position: the mean of all positions', weighted by how alike they are.

    Args:
        correlation: (B, N, N), N = h·w.
        logits: (B, C, h, w); they get no gradient.
    """
    with not_halved(logits.device):
        carried = at_least_single(logits.detach()).flatten(2) @ correlation.transpose(1, 2)
    return carried.view(logits.shape)


def cells_shown(inside: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, h, w) bool: positions of which at least half is no padding, given (B, H, W) bool of pixels."""
    return F.adaptive_avg_pool2d(inside.float()[:, None], size)[:, 0] >= 0.5
