"""A critic of classes: of which class the mean feature of a region is, and from which of two domains."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semiseg.networks.critic import one_hot
from semiseg.runtime.precision import at_least_single


class SemanticCritic(nn.Module):
    """Three fully connected layers to twice the number of classes, LeakyReLU 0.2 (after Wang et al., CVPRW 2020).

    Args:
        dim: D, width of the features.
        num_classes: C.
        hidden: width of both hidden layers.
    """

    def __init__(self, dim: int, num_classes: int, hidden: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dim, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, 2 * num_classes),
        )

    def forward(self, vectors: Tensor) -> Tensor:
        """vectors (…, D) → logits (…, 2·C) of the classes in the first domain, then in the second; float32 at least."""
        return at_least_single(self.layers(vectors))


def class_vectors(features: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Mean feature of every class in every image.

    Args:
        features: (B, D, h, w) float.
        labels: (B, h, w) int64; pixels outside 0…C-1 are left out.
        num_classes: C.

    Returns:
        (B, C, D) means, float32 at least, 0 for a class that an image lacks; (B, C) bool: which it shows.
    """
    with torch.autocast(features.device.type, enabled=False):
        features = at_least_single(features)
        masks = one_hot(labels, num_classes).to(features.dtype).flatten(2)
        count = masks.sum(dim=2)
        return masks @ features.flatten(2).mT / count.clamp_min(1)[:, :, None], count > 0
