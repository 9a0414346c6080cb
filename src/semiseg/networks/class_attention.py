"""Class-specific attention S_c: a small network per class that scores feature vectors (section 3.4, 4.2).

Linear(256) → BatchNorm → LeakyReLU → Linear(1) → Sigmoid for each of C classes, all of them at once: rows are
sorted by class into blocks of equal size, each block belonging to one class, and one batched matrix product
serves all blocks. The number of blocks has a bound that does not depend on the labels, so there is no loop over
classes and nothing is read back from the device.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.networks.running_statistics import move, unmoved
from semiseg.runtime.distributed import total_with_gradient

BLOCK = 128  # rows a block; small enough that padding is cheap, large enough for the matrix product
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
        order, slot, block_class, counts = self._layout(labels)
        blocks = len(block_class)
        padded = vectors.new_zeros(blocks * BLOCK + 1, self.dim).index_copy(0, slot, vectors[order])
        x = padded[:-1].view(blocks, BLOCK, self.dim)
        hidden = torch.baddbmm(self.bias1[block_class][:, None], x, self.weight1[block_class].transpose(1, 2))
        filled = torch.zeros(blocks * BLOCK + 1, dtype=torch.bool, device=labels.device)
        filled[slot] = True
        scale, shift = self._norm(hidden, filled[:-1].view(blocks, BLOCK, 1), block_class, counts, stand_in)
        hidden = F.leaky_relu(
            torch.addcmul(shift[block_class][:, None], hidden, scale[block_class][:, None]),
            self.negative_slope,
        )
        scores = torch.bmm(hidden, self.weight2[block_class][:, :, None])[..., 0] + self.bias2[block_class][:, None]
        scores = torch.cat([scores.clamp_min(LOWEST).sigmoid().flatten(), scores.new_zeros(1)])
        return scores[torch.empty_like(slot).index_copy(0, order, slot)]

    def _layout(self, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """How rows with these labels (N,) are laid out in blocks of one class each.

        Returns:
            order (N,): rows by class, ignored ones last.
            slot (N,): where each row of that order lies among all blocks' rows; ignored ones share the one behind.
            block_class (number of blocks,): class of each block.
            counts (C,): rows of each class.
        """
        n, c = len(labels), self.num_classes
        inside = (labels >= 0) & (labels < c)
        bins = labels.where(inside, labels.new_tensor(c))
        ones = torch.ones_like(bins)
        counts = torch.zeros(c + 1, dtype=torch.int64, device=labels.device).index_add(0, bins, ones)[:c]

        # Class k takes ceil(count/BLOCK) whole blocks, one after the other.
        blocks_of = (counts + BLOCK - 1) // BLOCK
        last_block = blocks_of.cumsum(0)
        blocks = -(-n // BLOCK) + c  # never too few: every class wastes less than one block
        block_class = torch.searchsorted(last_block, torch.arange(blocks, device=labels.device), right=True)

        order = bins.argsort(stable=True)
        first_row = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        row_class = bins[order]
        rank = torch.arange(n, device=labels.device) - first_row[row_class]
        start = torch.cat([last_block - blocks_of, last_block.new_full((1,), blocks)]) * BLOCK
        slot = (start[row_class] + rank).where(inside[order], blocks * BLOCK)
        return order, slot, block_class.clamp_max(c - 1), counts

    def _norm(
        self, hidden: Tensor, filled: Tensor, block_class: Tensor, counts: Tensor, stand_in: bool
    ) -> tuple[Tensor, Tensor]:
        """BatchNorm of every class as (C, hidden) scale and shift, updating the running statistics in training."""
        mean, variance = self.running_mean.to(hidden.dtype), self.running_var.to(hidden.dtype)
        if self.training or stand_in:
            zeros = hidden.new_zeros(self.num_classes, self.hidden)
            summed = _unchanged if self.replicated else total_with_gradient
            n = summed(counts.to(hidden.dtype)[:, None])
            weight = filled.to(hidden.dtype)
            batch_mean = summed(zeros.index_add(0, block_class, (hidden * weight).sum(1))) / n.clamp_min(1)
            centred = (hidden - batch_mean[block_class][:, None]) * weight
            batch_variance = summed(zeros.index_add(0, block_class, centred.square().sum(1))) / n.clamp_min(1)
            usable = n > 1 if self.training else (n > 1) & unmoved(self)
            mean = torch.where(usable, batch_mean, mean)
            variance = torch.where(usable, batch_variance, variance)
            if self.training:
                move(self, batch_mean, batch_variance, n, self.momentum)
        scale = (variance + self.eps).rsqrt() * self.norm_weight
        return scale, self.norm_bias - mean * scale
