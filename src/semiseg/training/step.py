"""One step: batches → losses → gradients → optimisers → teachers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semiseg.config.training import TrainingConfig
from semiseg.methods.base import Batch, Method, Round, Step
from semiseg.runtime import distributed
from semiseg.runtime.precision import autocast
from semiseg.training.finite import Crops, gradients_finite
from semiseg.training.optimisers import Optimisers
from semiseg.training.parallel import average_statistics, data_parallel


def iteration_generator(seed: int, step: int, rank: int = 0) -> torch.Generator:
    """Generator of one step's augmentation: a function of seed, step and rank, so a resume needs no saved state."""
    state = np.random.SeedSequence([seed, step, rank] if rank else [seed, step]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


class Stepper:
    """Takes a method's steps.

    Args:
        method: on its device.
        optimisers: its own.
        t: seed, accumulation, precision and clipping are read.
        device: of the method.
    """

    def __init__(self, method: Method, optimisers: Optimisers, t: TrainingConfig, device: torch.device) -> None:
        self.method, self.optimisers, self.t, self.device = method, optimisers, t, device
        self.scaler = torch.amp.GradScaler(device.type, enabled=t.precision == "fp16")
        self.module = data_parallel(method, device)
        self.crops: list[Crops] = []  # of the last step
        self.gradients: Tensor | None = None  # whether its gradients were finite

    def __call__(
        self, next_batches: Callable[[], tuple[Batch, Batch | None]], iteration: int, now: Round
    ) -> dict[str, Tensor]:
        """Step ``iteration`` of the run, in round ``now``. The method counts from the beginning of its stage.

        Returns:
            The sums over ``training.accumulation`` batches of what :meth:`Method.losses` gives, detached.
        """
        sums: dict[str, Tensor] = {}
        first = self.method.first_stage
        in_stage = iteration - first if iteration >= first else iteration
        self.optimisers.set_rates(iteration, now)
        self.crops = []
        for part in range(self.t.accumulation):
            labelled, unlabelled = next_batches()
            draws = iteration_generator(self.t.seed, iteration * self.t.accumulation + part, distributed.rank())
            self.crops.append(Crops.of(labelled, unlabelled))
            step = Step(labelled, unlabelled, in_stage, draws)
            with self._exchange_after_last(part):
                with autocast(self.t.precision, self.device):
                    losses = self.module(step, now.supervised)
                self.scaler.scale(losses["loss"] / self.t.accumulation).backward()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0) + value.detach()
        if not self.scaler.is_enabled():  # which looks itself, and passes over steps whose gradients overflow
            self.gradients = gradients_finite(self.optimisers.parameters())
        self.optimisers.step(self.scaler, self.t.gradient_clip)
        average_statistics(self.method)
        if not now.supervised:
            self.method.after_step(step)
        return sums

    def _exchange_after_last(self, part: int) -> AbstractContextManager[Any]:
        """Gradients are exchanged once a step, after its last part."""
        if isinstance(self.module, nn.parallel.DistributedDataParallel) and part < self.t.accumulation - 1:
            return self.module.no_sync()
        return nullcontext()
