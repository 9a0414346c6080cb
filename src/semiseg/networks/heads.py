"""Projection and prediction heads: Linear → BatchNorm → ReLU → Linear (section 4.2, after BYOL)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.runtime.distributed import total, total_with_gradient, world


class MaskedBatchNorm(nn.BatchNorm1d):
    """BatchNorm over the valid rows only, at a fixed shape: ignored pixels must not move the statistics.

    Statistics are those of the rows of all processes together.

    With fewer than two valid rows there is no variance to take: the running statistics are used and left.
    """

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """x (N, D) float, valid (N,) bool or None for all rows → (N, D)."""
        if not self.training:
            return super().forward(x)
        if valid is None:
            if len(x) > 1 and world() == 1:
                return super().forward(x)
            valid = torch.ones(len(x), dtype=torch.bool, device=x.device)
        assert self.running_mean is not None
        assert self.running_var is not None
        weight = valid.to(x.dtype)[:, None]
        n = total(weight.sum())
        mean = total_with_gradient((x * weight).sum(0)) / n.clamp_min(1)
        variance = total_with_gradient(((x - mean).square() * weight).sum(0)) / n.clamp_min(1)
        enough = n > 1
        with torch.no_grad():
            rate = self.momentum if self.momentum is not None else 0.1
            step = rate * enough.to(x.dtype)
            unbiased = variance * n / (n - 1).clamp_min(1)
            self.running_mean += step * (mean - self.running_mean)
            self.running_var += step * (unbiased - self.running_var)
        mean = torch.where(enough, mean, self.running_mean)
        variance = torch.where(enough, variance, self.running_var)
        return (x - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias


class _Head(nn.Module):
    def __init__(self, in_dim: int, hidden: int, dim: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(in_dim, hidden)
        self.norm = MaskedBatchNorm(hidden)
        self.linear2 = nn.Linear(hidden, dim)

    def forward(self, vectors: Tensor, valid: Tensor | None = None) -> Tensor:
        """vectors (N, in_dim), valid (N,) bool: rows that count for the statistics → (N, dim)."""
        out: Tensor = self.linear2(F.relu(self.norm(self.linear1(vectors), valid)))
        return out


class ProjectionHead(_Head):
    """g_θ: Z = g_θ(V), section 3.4. ``in_dim`` is the network's feature width; 256 wide (section 4.2)."""

    def __init__(self, in_dim: int, dim: int = 256, hidden: int = 256) -> None:
        super().__init__(in_dim, hidden, dim)


class PredictionHead(_Head):
    """q_θ: P = q_θ(Z), section 3.4; 256 wide (section 4.2)."""

    def __init__(self, dim: int = 256, hidden: int = 256) -> None:
        super().__init__(dim, hidden, dim)
