"""Rows grouped by class, so that a network of its own for each class can pass over all of them at once.

On an accelerator rows lie in blocks of equal size, each of one class: one batched matrix product serves all blocks, and
nothing is read back from the device. A CPU waits for nothing when it reads the counts, and there the weights that every
block gathers, and their gradients above all, take several times as long as the products: it goes from class to class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 128  # rows a block; small enough that padding is cheap, large enough for the matrix product


class RowsByClass(ABC):
    """How rows with labels (N,) are laid out by class; rows of no class in 0…C-1 take no part.

    ``x`` below is what :meth:`arrange` gives or what was computed from it; tables are (C, D), a row for each class.

    Attributes:
        counts: (C,) int64, rows of each class.
    """

    def __init__(self, labels: Tensor, classes: int) -> None:
        inside = (labels >= 0) & (labels < classes)
        self.bins = labels.where(inside, labels.new_tensor(classes))
        ones = torch.ones_like(self.bins)
        counts = torch.zeros(classes + 1, dtype=torch.int64, device=labels.device).index_add(0, self.bins, ones)
        self.counts = counts[:classes]
        self.order = self.bins.argsort(stable=True)  # ignored rows come last

    @abstractmethod
    def arrange(self, values: Tensor) -> Tensor:
        """Values (N, D) in this order."""

    @abstractmethod
    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Each row through the layer of its class: weight (C, O, D), bias (C, O)."""

    @abstractmethod
    def affine(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """x · scale + shift, by the tables of each row's class."""

    @abstractmethod
    def sums(self, x: Tensor) -> Tensor:
        """Sum over the rows of each class, (C, D)."""

    @abstractmethod
    def restore(self, x: Tensor) -> Tensor:
        """One number a row, (N,) in the order of the labels; 0 for rows of no class."""


class Blocks(RowsByClass):
    """Blocks of BLOCK rows, of which a class fills as many as it needs; how many there are depends on N and C alone."""

    def __init__(self, labels: Tensor, classes: int) -> None:
        super().__init__(labels, classes)
        counts, n = self.counts, len(labels)
        # Class k takes ceil(count/BLOCK) whole blocks, one after the other.
        blocks_of = (counts + BLOCK - 1) // BLOCK
        last_block = blocks_of.cumsum(0)
        self.blocks = -(-n // BLOCK) + classes  # never too few: every class wastes less than one block
        self.classes = classes
        place = torch.arange(self.blocks, device=labels.device)
        self.block_class = torch.searchsorted(last_block, place, right=True).clamp_max(classes - 1)

        first_row = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        row_class = self.bins[self.order]
        rank = torch.arange(n, device=labels.device) - first_row[row_class]
        start = torch.cat([last_block - blocks_of, last_block.new_full((1,), self.blocks)]) * BLOCK
        # Where each row of the order lies; ignored ones share the place behind all blocks.
        self.slot = (start[row_class] + rank).where(row_class < classes, self.blocks * BLOCK)
        filled = torch.zeros(self.blocks * BLOCK + 1, dtype=torch.bool, device=labels.device)
        filled[self.slot] = True
        self.filled = filled[:-1].view(self.blocks, BLOCK, 1)

    def arrange(self, values: Tensor) -> Tensor:
        padded = values.new_zeros(self.blocks * BLOCK + 1, values.shape[1])
        return padded.index_copy(0, self.slot, values[self.order])[:-1].view(self.blocks, BLOCK, -1)

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.baddbmm(self._of(bias), x, weight[self.block_class].transpose(1, 2))

    def affine(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return torch.addcmul(self._of(shift), x, self._of(scale))

    def sums(self, x: Tensor) -> Tensor:
        return x.new_zeros(self.classes, x.shape[-1]).index_add(0, self.block_class, (x * self.filled).sum(1))

    def restore(self, x: Tensor) -> Tensor:
        flat = torch.cat([x.flatten(), x.new_zeros(1)])
        return flat[torch.empty_like(self.slot).index_copy(0, self.order, self.slot)]

    def _of(self, table: Tensor) -> Tensor:
        return table[self.block_class][:, None]


class Runs(RowsByClass):
    """The rows of each class one after the other; the counts are read, so not for devices that work ahead."""

    def __init__(self, labels: Tensor, classes: int) -> None:
        super().__init__(labels, classes)
        self.lengths: list[int] = self.counts.tolist()
        self.order = self.order[: sum(self.lengths)]
        self.rows = len(labels)

    def arrange(self, values: Tensor) -> Tensor:
        return values[self.order]

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        # unbind: one gradient for the whole table instead of a table of zeros for each class.
        each = zip(torch.split(x, self.lengths), weight.unbind(), bias.unbind(), strict=True)
        return torch.cat([F.linear(part, w, b) for part, w, b in each])

    def affine(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        each = zip(torch.split(x, self.lengths), scale.unbind(), shift.unbind(), strict=True)
        return torch.cat([torch.addcmul(b, part, a) for part, a, b in each])

    def sums(self, x: Tensor) -> Tensor:
        return torch.stack([part.sum(0) for part in torch.split(x, self.lengths)])

    def restore(self, x: Tensor) -> Tensor:
        return x.new_zeros(self.rows).index_copy(0, self.order, x.flatten())


def rows_by_class(labels: Tensor, classes: int) -> RowsByClass:
    """The layout for the device of the labels (N,) int64."""
    return (Runs if labels.device.type == "cpu" else Blocks)(labels, classes)
