"""Pseudo-labels, eq. 5, and their confidence weights β of eq. 3 (section 4.2)."""

from __future__ import annotations

from torch import Tensor


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
