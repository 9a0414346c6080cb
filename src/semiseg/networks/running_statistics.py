"""Running statistics of the heads' and attention networks' BatchNorm: how they begin, move and are handed on.

PyTorch starts them at mean 0 and variance 1 and moves them by a tenth a batch, so that a layer which has learnt for a
few steps only still normalises, in evaluation, by numbers that belong to no data. The teacher's heads are asked in just
those steps: they fill the memory bank. Here the first batch sets the statistics whole.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class HasStatistics(Protocol):
    """A normalisation with running statistics (..., D)."""

    running_mean: Tensor
    running_var: Tensor


def unmoved(layer: HasStatistics) -> Tensor:
    """(..., 1) bool: still exactly 0 and 1, which no batch has touched. It is told from the state, so resumes agree."""
    return ((layer.running_mean == 0) & (layer.running_var == 1)).all(dim=-1, keepdim=True)


@torch.no_grad()
def move(layer: HasStatistics, mean: Tensor, variance: Tensor, n: Tensor, rate: float) -> None:
    """Move running statistics, in place, towards those of a batch.

    Args:
        layer: its statistics are changed: in full where they are unmoved, else by ``rate``.
        mean, variance: (..., D) of the batch, the variance divided by n.
        n: how many rows they are of, a scalar or (..., 1); with fewer than two nothing moves.
        rate: share of the batch.
    """
    dtype, fresh = layer.running_mean.dtype, unmoved(layer)
    weight = torch.full_like(fresh, rate, dtype=dtype).masked_fill(fresh, 1.0) * (n > 1)
    unbiased = variance * n / (n - 1).clamp_min(1)
    layer.running_mean.lerp_(mean.to(dtype), weight)
    layer.running_var.lerp_(unbiased.to(dtype), weight)


@torch.no_grad()
def hand_on(source: HasStatistics, to: HasStatistics) -> None:
    """Give ``to`` the statistics of ``source``, in place, where its own are unmoved."""
    fresh = unmoved(to)
    to.running_mean.copy_(torch.where(fresh, source.running_mean, to.running_mean))
    to.running_var.copy_(torch.where(fresh, source.running_var, to.running_var))
