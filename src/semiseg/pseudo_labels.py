"""Pseudo-labels, eq. 5, their confidence weights β of eq. 3 (section 4.2), and a threshold that moves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semiseg.runtime.distributed import gathered


def pseudo_labels(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Eq. 5: ŷ = argmax f_ξ(x_u), with the teacher's confidence in it.

    Args:
        logits: (B, C, H, W) float, the teacher's, at the resolution of the crop.

    Returns:
        labels (B, H, W) int64 and confidence (B, H, W) float in (0, 1], the highest softmax probability.
    """
    confidence, labels = logits.softmax(dim=1).max(dim=1)
    return labels, confidence


def confidence_weights(confidence: Tensor, sharpness: float = 6.0) -> Tensor:
    """β_n = confidence^s of eq. 3, s = 6 (section 4.2); any shape, no hard threshold."""
    return confidence**sharpness


class MovingThreshold(nn.Module):
    """A threshold of confidence that follows the student (CorrMatch, Sun et al., CVPR 2024).

    τ ← m τ + (1 - m) · mean over the classes that some pixel has of the highest confidence in that class. It lies in
    ``state_dict()``.

    Args:
        start: τ before the first step.
        momentum: m.
    """

    value: Tensor

    def __init__(self, start: float, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("value", torch.tensor(start))

    @torch.no_grad()
    def forward(self, labels: Tensor, confidence: Tensor, classes: int) -> Tensor:
        """τ, moved before in training by the pixels of all processes.

        Args:
            labels: (B, H, W) int64; those that are no class 0…C-1 take no part.
            confidence: (B, H, W) float in (0, 1].
            classes: C.
        """
        if self.training:
            bins = labels.where((labels >= 0) & (labels < classes), classes).flatten()
            highest = confidence.new_zeros(classes + 1).scatter_reduce(0, bins, confidence.flatten(), "amax")
            highest = gathered(highest[None, :classes]).amax(dim=0)
            present = highest > 0
            mean = (highest.sum() / present.sum().clamp_min(1)).to(self.value)
            self.value.copy_(torch.where(present.any(), torch.lerp(mean, self.value, self.momentum), self.value))
        return self.value.clone()
