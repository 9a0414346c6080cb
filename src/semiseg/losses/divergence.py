"""How far the student's distribution is from a given one (CorrMatch, Sun et al., CVPR 2024)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from semiseg.losses.consistency import valid_mean
from semiseg.runtime.precision import at_least_single


def kl_divergence(logits: Tensor, target: Tensor, weights: Tensor, valid: Tensor) -> Tensor:
    """1/N Σ_n β_n KL(target_n ‖ softmax(logits_n)) over the N valid pixels of all processes.

    Args:
        logits: (B, C, H, W) float, before the softmax.
        target: (B, C, H, W) probabilities.
        weights: β, (B, H, W) float.
        valid: (B, H, W) bool.

    Returns:
        Scalar tensor, float32 at least, in nats; 0 where no pixel is valid.
    """
    log_p = at_least_single(logits).log_softmax(dim=1)
    return valid_mean(F.kl_div(log_p, target, reduction="none").sum(dim=1) * weights, valid)
