"""Projection and prediction heads: Linear → BatchNorm → ReLU → Linear (section 4.2, after BYOL)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.networks.running_statistics import move, unmoved
from semiseg.runtime.distributed import total, total_with_gradient


class MaskedBatchNorm(nn.BatchNorm1d):
    """BatchNorm over the valid rows only, at a fixed shape: ignored pixels must not move the statistics.

    Statistics are those of the rows of all processes together. The first batch sets the running ones whole.

    With fewer than two valid rows there is no variance to take: the running statistics are used and left.
    """

    running_mean: Tensor
    running_var: Tensor

    def forward(self, x: Tensor, valid: Tensor | None = None, stand_in: bool = False) -> Tensor:
        """x (N, D) float, valid (N,) bool or None for all rows → (N, D).

        ``stand_in``: in evaluation, the statistics of these rows stand in for running ones that no batch has set yet;
        nothing is moved. Every process must call it then.
        """
        if not (self.training or stand_in):
            return super().forward(x)
        if valid is None:
            valid = torch.ones(len(x), dtype=torch.bool, device=x.device)
        weight = valid.to(x.dtype)[:, None]
        n = total(weight.sum())
        mean = total_with_gradient((x * weight).sum(0)) / n.clamp_min(1)
        variance = total_with_gradient(((x - mean).square() * weight).sum(0)) / n.clamp_min(1)
        if self.training:
            usable = n > 1
            move(self, mean, variance, n, self.momentum if self.momentum is not None else 0.1)
        else:
            usable = (n > 1) & unmoved(self)
        mean = torch.where(usable, mean, self.running_mean)
        variance = torch.where(usable, variance, self.running_var)
        return (x - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias


class _Head(nn.Module):
    def __init__(self, in_dim: int, hidden: int, dim: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(in_dim, hidden)
        self.norm = MaskedBatchNorm(hidden)
        self.linear2 = nn.Linear(hidden, dim)

    def forward(self, vectors: Tensor, valid: Tensor | None = None, stand_in: bool = False) -> Tensor:
        """vectors (N, in_dim), valid (N,) bool: rows that count for the statistics → (N, dim).

        ``stand_in``: see :meth:`MaskedBatchNorm.forward`.
        """
        out: Tensor = self.linear2(F.relu(self.norm(self.linear1(vectors), valid, stand_in)))
        return out


class ProjectionHead(_Head):
    """g_θ: Z = g_θ(V), section 3.4. ``in_dim`` is the network's feature width; 256 wide (section 4.2)."""

    def __init__(self, in_dim: int, dim: int = 256, hidden: int = 256) -> None:
        super().__init__(in_dim, hidden, dim)


class PredictionHead(_Head):
    """q_θ: P = q_θ(Z), section 3.4; 256 wide (section 4.2)."""

    def __init__(self, dim: int = 256, hidden: int = 256) -> None:
        super().__init__(dim, hidden, dim)
