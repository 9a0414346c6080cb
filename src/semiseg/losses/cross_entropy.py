"""Weighted cross-entropy, eq. 3: the supervised term (eq. 4) and, per view, the pseudo-label term (eq. 6)."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from semiseg.runtime.distributed import mean
from semiseg.runtime.precision import at_least_single


def weighted_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    ignore_index: int = 255,
    divisor: Literal["pixels", "weights"] = "pixels",
    across_processes: bool = False,
) -> Tensor:
    """Eq. 3: H = -1/N Σ_n log y1[n, label_n] · α[label_n] · β[n].

    Args:
        logits: (B, C, H, W) float, before the softmax.
        labels: (B, H, W) int64, classes 0…C-1 or ``ignore_index``.
        class_weights: α, (C,) float; 1 when absent.
        pixel_weights: β, (B, H, W) float; 1 when absent (eq. 4).
        ignore_index: label of pixels that add 0.
        divisor: ``"pixels"`` divides by N = B·H·W, ignored pixels included (the paper);
            ``"weights"`` by Σ α over the valid pixels (the authors' code).
        across_processes: ``"weights"`` are summed over all processes, whose losses are averaged by the caller.

    Returns:
        Scalar tensor, float32 at least. 0, with zero gradients, when every pixel is ignored.
    """
    logits = at_least_single(logits)  # half precision counts to no more than 256 or 2048
    alpha = class_weights if class_weights is None else class_weights.to(logits.dtype)
    losses = F.cross_entropy(logits, labels, weight=alpha, ignore_index=ignore_index, reduction="none")
    if pixel_weights is not None:
        losses = losses * pixel_weights
    if divisor == "pixels":
        return losses.mean()
    valid = labels != ignore_index
    if alpha is None:
        total = valid.sum().to(losses.dtype)
    else:
        total = (alpha[labels.where(valid, labels.new_zeros(()))] * valid).sum()
    return losses.sum() / (mean(total) if across_processes else total).clamp_min(1e-12)
