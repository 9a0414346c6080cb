"""Class-specific attention S_c: a small network per class that scores feature vectors (section 3.4, 4.2).

Linear(256) → BatchNorm → LeakyReLU → Linear(1) → Sigmoid for each of C classes, over rows grouped by class
(``rows_by_class.py``).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.networks.rows_by_class import RowsByClass, rows_by_class
from semiseg.networks.running_statistics import move, unmoved
from semiseg.runtime.distributed import total_with_gradient

# Before the sigmoid. Eq. 8 divides by the sum of a class's scores: a class with a single vector, whose weight is 1
# whatever its score, drifts freely, and below -87 score and sum underflow to 0/0.
LOWEST = -30.0


def _unchanged(values: Tensor) -> Tensor:
    return values


class ClassAttention(nn.Module):
    """One scoring network per class, evaluated for all classes in one pass.

    Args:
        num_classes: C.
        dim: D, width of the vectors.
        hidden: width of the hidden layer, 256 (section 4.2).
        replicated: every process scores the same vectors (the bank); otherwise each brings its own, and the statistics
            are those of all together.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_classes: int, dim: int = 256, hidden: int = 256, replicated: bool = False) -> None:
        super().__init__()
        self.replicated = replicated
        self.num_classes, self.dim, self.hidden = num_classes, dim, hidden
        self.momentum, self.eps, self.negative_slope = 0.1, 1e-5, 0.01
        self.weight1 = nn.Parameter(torch.empty(num_classes, hidden, dim))
        self.bias1 = nn.Parameter(torch.empty(num_classes, hidden))
        self.norm_weight = nn.Parameter(torch.ones(num_classes, hidden))
        self.norm_bias = nn.Parameter(torch.zeros(num_classes, hidden))
        self.weight2 = nn.Parameter(torch.empty(num_classes, hidden))
        self.bias2 = nn.Parameter(torch.empty(num_classes))
        self.register_buffer("running_mean", torch.zeros(num_classes, hidden))
        self.register_buffer("running_var", torch.ones(num_classes, hidden))
        for parameter, fan_in in ((self.weight1, dim), (self.bias1, dim), (self.weight2, hidden), (self.bias2, hidden)):
            nn.init.uniform_(parameter, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))  # nn.Linear's own

    def forward(self, vectors: Tensor, labels: Tensor, stand_in: bool = False) -> Tensor:
        """S_c(v) for each vector and its class c.

        Args:
            vectors: (N, D) float.
            labels: (N,) int64; rows outside 0…C-1 score 0 and pass no gradient.
            stand_in: in evaluation, the statistics of a class in this call stand in for running ones that no batch has
                set yet; nothing is moved.

        Returns:
            (N,) scores in (0, 1), at least 9e-14. In training the statistics of BatchNorm are those of the class in
            this call, and the first call with it sets its running ones whole; a class with a single vector uses its
            running statistics, which stay as they are.
        """
        rows = rows_by_class(labels, self.num_classes)
        hidden = rows.linear(rows.arrange(vectors), self.weight1, self.bias1)
        hidden = F.leaky_relu(rows.affine(hidden, *self._norm(hidden, rows, stand_in)), self.negative_slope)
        scores = rows.linear(hidden, self.weight2[:, None], self.bias2[:, None])
        return rows.restore(scores.clamp_min(LOWEST).sigmoid())

    def _norm(self, hidden: Tensor, rows: RowsByClass, stand_in: bool) -> tuple[Tensor, Tensor]:
        """BatchNorm of every class as (C, hidden) scale and shift, updating the running statistics in training."""
        mean, variance = self.running_mean.to(hidden.dtype), self.running_var.to(hidden.dtype)
        if self.training or stand_in:
            summed = _unchanged if self.replicated else total_with_gradient
            n = summed(rows.counts.to(hidden.dtype)[:, None])
            batch_mean = summed(rows.sums(hidden)) / n.clamp_min(1)
            centred = rows.affine(hidden, torch.ones_like(batch_mean), -batch_mean)
            batch_variance = summed(rows.sums(centred.square())) / n.clamp_min(1)
            usable = n > 1 if self.training else (n > 1) & unmoved(self)
            mean = torch.where(usable, batch_mean, mean)
            variance = torch.where(usable, batch_variance, variance)
            if self.training:
                move(self, batch_mean, batch_variance, n, self.momentum)
        scale = (variance + self.eps).rsqrt() * self.norm_weight
        return scale, self.norm_bias - mean * scale
