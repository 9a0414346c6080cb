"""What a critic thinks of maps: binary cross-entropy of its scores with one answer for all (Hung et al., 2018)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.losses.consistency import valid_mean


def verdict(scores: Tensor, label: bool, valid: Tensor) -> Tensor:
    """BCE(σ(s), 1) or BCE(σ(s), 0), mean over what is valid.

    Args:
        scores: (B, H, W) or (B,) logits, of pixels or of images.
        label: whether the answer is that these are labels, or that they are predictions.
        valid: bool of the scores' shape: which of them count, those of all processes together.

    Returns:
        Scalar tensor; 0 where nothing is valid.
    """
    answer = torch.full_like(scores, float(label))
    return valid_mean(F.binary_cross_entropy_with_logits(scores, answer, reduction="none"), valid)
