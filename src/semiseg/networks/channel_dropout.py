"""Perturbing features: whole channels are dropped between encoder and decoder (UniMatch, Yang et al., CVPR 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semiseg.networks.output import Output
from semiseg.networks.segmentation import SegmentationNetwork


def drop_channels(features: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Features (B, D, h, w) with each channel of each image 0 with probability ``rate``, else divided by 1 - rate.

    Args:
        features: floating, any device.
        rate: in [0, 1).
        generator: CPU generator of the B·D draws.
    """
    keep = torch.rand(*features.shape[:2], 1, 1, generator=generator) >= rate
    return features * (keep / (1 - rate)).to(features, non_blocking=True)


class DecodedTwice(nn.Module):
    """A network that decodes its images twice, in one batch: their features, and these with channels dropped.

    Args:
        network: is not copied.
        rate: share of the channels that is dropped, of every map that the decoder takes.
        seed: of all draws, so that activations computed again for the gradients are the same.
    """

    def __init__(self, network: SegmentationNetwork, rate: float, seed: int) -> None:
        super().__init__()
        self.network, self.rate, self.seed = network, rate, seed

    def forward(self, images: Tensor) -> tuple[Output, Output]:
        """images (B, 3, H, W) → what the network gives for the features as they are, and for the dropped ones."""
        draws = torch.Generator().manual_seed(self.seed)
        maps = self.network.encode(images)
        both = [torch.cat([features, drop_channels(features, self.rate, draws)]) for features in maps]
        output, batch = self.network.decode(both), len(images)
        return output.part(slice(batch)), output.part(slice(batch, None))
