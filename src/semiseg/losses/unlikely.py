"""What a pixel certainly is not: the negatives of U2PL (Wang et al., CVPR 2022)."""

from __future__ import annotations

import torch
from torch import Tensor


def unlikely(
    probabilities: Tensor, labels: Tensor, unreliable: Tensor, low_rank: int = 3, high_rank: int = 20
) -> Tensor:
    """Of which classes a pixel is a negative example, by the order of its classes from the most probable, rank 0, on.

    A labelled pixel is one of every class but its own with rank < r_l, with which it may be confused; an unreliable one
    of those with r_l ≤ rank < r_h: it is none of them, but not so certainly that nothing could be learnt.

    Args:
        probabilities: (C, N) float.
        labels: (N,) int64 of labelled pixels; outside 0…C-1 for all others.
        unreliable: (N,) bool, of pixels without a label.
        low_rank, high_rank: r_l and r_h.

    Returns:
        (C, N) bool.
    """
    classes = torch.arange(len(probabilities), device=labels.device)[:, None]
    rank = probabilities.argsort(dim=0, descending=True, stable=True).argsort(dim=0)
    labelled = (labels >= 0) & (labels < len(probabilities))
    confused = labelled & (labels != classes) & (rank < low_rank)
    return confused | (unreliable & (rank >= low_rank) & (rank < high_rank))
