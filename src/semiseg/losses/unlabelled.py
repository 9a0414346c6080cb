"""Cross-entropy with pseudo-labels of which only some count (FixMatch; Yang et al., CVPR 2023)."""

from __future__ import annotations

from torch import Tensor

from semiseg.losses.cross_entropy import weighted_cross_entropy
from semiseg.runtime.distributed import mean


def unlabelled_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor, ignore_index: int = 255) -> Tensor:
    """1/N Σ_n β_n H(p_n, ŷ_n) over the N pixels that are no padding, those of all processes together.

    N is not the number of pixels with β > 0: the loss grows with the share of labels that are trusted.

    Args:
        logits: (B, C, H, W) float, before the softmax.
        labels: (B, H, W) int64, classes 0…C-1, or ``ignore_index`` on padding.
        weights: β, (B, H, W) float.
        ignore_index: label of padding.

    Returns:
        Scalar tensor, float32 at least; 0 where all is padding.
    """
    seen = mean((labels != ignore_index).float().mean()).clamp_min(1e-12)
    return weighted_cross_entropy(logits, labels, None, weights, ignore_index) / seen
