"""Losses since the last line of the log."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from semiseg.runtime import distributed
from semiseg.training.parallel import log_means


class LossSums:
    """Sums over batches, which a checkpoint keeps: a line of the log must not depend on where a run was stopped."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.batches = 0

    def add(self, losses: dict[str, Tensor], batches: int) -> None:
        """Scalars that are themselves sums over so many batches."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0) + value
        self.batches += batches

    def means(self) -> dict[str, float]:
        """By name, over batches and processes."""
        return log_means(self.sums, self.batches)

    def clear(self) -> None:
        self.sums, self.batches = {}, 0

    def state_dict(self) -> dict[str, Any]:
        """The same in every process: means over them, on the CPU."""
        return {"sums": {k: distributed.mean(v).cpu() for k, v in self.sums.items()}, "batches": self.batches}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        self.sums, self.batches = {k: v.to(device) for k, v in state["sums"].items()}, state["batches"]
