"""Which classes an image shows: a backbone, the average of its last map, and one logit a class."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from semiseg.networks.batch_norm import apply_batch_norm_policy
from semiseg.networks.segmentation import SegmentationNetwork
from semiseg.runtime.precision import at_least_single


class ImageClassifier(nn.Module):
    """A classifier of whole images with several labels each, on a copy of a segmentation network's backbone.

    Args:
        network: whose backbone, with its weights and normalisation, and classes it takes over.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.backbone, self.batch_norm = copy.deepcopy(network.backbone), network.batch_norm
        self.linear = nn.Linear(network.backbone.channels[-1], network.num_classes)
        self.register_buffer("mean", network.mean.clone())
        self.register_buffer("std", network.std.clone())

    def forward(self, images: Tensor) -> Tensor:
        """images (B, channels, H, W) in [0, 1] → logits (B, C) that a class is somewhere, float32 at least."""
        features = self.backbone((images - self.mean) / self.std)[-1].mean(dim=(2, 3))
        return at_least_single(self.linear(features))

    def train(self, mode: bool = True) -> ImageClassifier:
        """As ``nn.Module.train``, with the backbone's BatchNorm policy kept."""
        super().train(mode)
        apply_batch_norm_policy(self, self.batch_norm)
        return self
