"""Earlier states of a network, kept as networks that no longer learn (PrevMatch, Shin et al., WACV 2026)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from semiseg.networks.output import upsample
from semiseg.networks.segmentation import SegmentationNetwork
from semiseg.runtime.precision import at_least_single


class Snapshots(nn.Module):
    """Room for the last ``size`` states of a network; a new one takes the place of the oldest.

    All lie in ``state_dict()``, with how many were stored, so that training goes on exactly after a resume. Memory: as
    many copies of the network's weights and statistics, from the beginning, beside the network and in a checkpoint.
    They always run in evaluation mode, one after the other, and without gradients: one pass's activations at a time.

    Args:
        network: to make room for; it is not stored yet.
        size: K.

    Attributes:
        stored: how many were stored since the beginning; ``len()`` says how many there are.
    """

    def __init__(self, network: SegmentationNetwork, size: int) -> None:
        super().__init__()
        self.kept = nn.ModuleList(copy.deepcopy(network) for _ in range(size)).requires_grad_(False)
        self.stored = 0
        self.train(False)

    def __len__(self) -> int:
        return min(self.stored, len(self.kept))

    @torch.no_grad()
    def store(self, network: SegmentationNetwork) -> None:
        """Keep the network as it is now."""
        self.kept[self.stored % len(self.kept)].load_state_dict(network.state_dict())
        self.stored += 1

    @torch.no_grad()
    def forward(self, images: Tensor, generator: torch.Generator, most: int) -> Tensor:
        """Logits (B, C, H, W), float32 at least, of a random mixture of the stored states; there must be one.

        Of 1 to ``most`` of them, as many as there are at most; their weights are uniform on the simplex.

        Args:
            images: (B, 3, H, W).
            generator: CPU generator of number, choice and weights.
            most: states that are mixed, at most.
        """
        count = int(torch.randint(1, most + 1, (), generator=generator))
        chosen = torch.randperm(len(self), generator=generator)[:count].tolist()
        weights = torch.empty(len(chosen)).exponential_(generator=generator)
        logits = [
            weight * at_least_single(self.kept[i](images).logits)
            for i, weight in zip(chosen, (weights / weights.sum()).tolist(), strict=True)
        ]
        return upsample(torch.stack(logits).sum(dim=0), images.shape[-2:])

    def train(self, mode: bool = True) -> Snapshots:
        """They are past training."""
        super().train(False)
        return self

    def get_extra_state(self) -> Tensor:
        """How many were stored."""
        return torch.tensor(self.stored, device="cpu")

    def set_extra_state(self, state: Any) -> None:
        """The reverse."""
        self.stored = int(state)
