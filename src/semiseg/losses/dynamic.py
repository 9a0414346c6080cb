"""Dynamic weights: how much a pseudo-label counts by what the learner thinks of it now (Feng et al., 2020 and 2022)."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def dynamic_weights(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """β = p(y)^γ, the learner's own probability of a pixel's label (DST-CBC, public code).

    Args:
        logits: (B, C, H, W) float, the learner's.
        labels: (B, H, W) int64; those outside 0…C-1 (ignored) get the weight of some class, which nothing counts.
        gamma: γ; 0 gives 1 everywhere.

    Returns:
        (B, H, W) in [0, 1], without gradients.
    """
    present = labels.clamp(0, logits.shape[1] - 1)
    return logits.softmax(dim=1).gather(1, present[:, None])[:, 0] ** gamma


@torch.no_grad()
def mutual_weights(logits: Tensor, labels: Tensor, confidence: Tensor, agree: float, disagree: float) -> Tensor:
    """β by how two networks agree on a pixel (DMT, public code): p is the learner's, q the labeller's confidence.

    p(y)^γ₁ where the learner's own choice is the label y; elsewhere 0 if it is surer of another class than the labeller
    was of y, max p > q, and p(y)^γ₂ if not. Where they agree everywhere these are :func:`dynamic_weights` of γ₁.

    Args:
        logits, labels: as :func:`dynamic_weights` takes them.
        confidence: q, (B, H, W) in [0, 1].
        agree, disagree: γ₁ and γ₂.

    Returns:
        (B, H, W) in [0, 1], without gradients.
    """
    own, choice = logits.softmax(dim=1).max(dim=1)
    unsure = dynamic_weights(logits, labels, disagree) * (own <= confidence)
    return torch.where(choice == labels, dynamic_weights(logits, labels, agree), unsure)
