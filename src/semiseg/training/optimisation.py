"""Optimiser, schedule, random streams and the step as one module: what the loop needs beside the method."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semiseg.config.sections import TrainingConfig
from semiseg.errors import UsageError
from semiseg.methods import Batch, Method
from semiseg.runtime import distributed


def make_optimiser(method: Method, t: TrainingConfig) -> torch.optim.Optimizer:
    """SGD (section 4.2) or AdamW over the method's parameter groups, each with its own ``base`` rate."""
    rates = t.lr_multipliers.model_dump()
    groups = [
        {"params": parameters, "lr": t.learning_rate * rates[name], "base": t.learning_rate * rates[name]}
        for name, parameters in method.trainable_parameters().items()
        if parameters
    ]
    # One kernel for all parameters where the device has it.
    fused = all(p.device.type in ("cpu", "cuda") for group in groups for p in group["params"])
    if t.optimizer == "adamw":
        betas = (t.momentum, 0.999)
        return torch.optim.AdamW(groups, lr=t.learning_rate, betas=betas, weight_decay=t.weight_decay, fused=fused)
    return torch.optim.SGD(groups, lr=t.learning_rate, momentum=t.momentum, weight_decay=t.weight_decay, fused=fused)


def learning_rate_factor(iteration: int, total: int, power: float, warmup: float = 0.0) -> float:
    """Poly schedule (1 - i/N)^power (section 4.2), after an optional linear rise over ``warmup``·N steps."""
    rise = warmup * total
    return min(1.0, (iteration + 1) / rise if rise else 1.0) * (1 - iteration / total) ** power


def iteration_generator(seed: int, step: int, rank: int = 0) -> torch.Generator:
    """Generator of one step's augmentation: a function of seed, step and rank, so a resume needs no saved state."""
    state = np.random.SeedSequence([seed, step, rank] if rank else [seed, step]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


def share_of_batch(size: int, key: str) -> int:
    """How many of the ``size`` crops of a step this process takes.

    Raises:
        UsageError: the batch cannot be divided evenly.
    """
    world = distributed.world()
    if size % world:
        raise UsageError(f"{key}={size} cannot be shared evenly by {world} processes; choose a multiple of {world}")
    return size // world


class Step(nn.Module):
    """``method.step`` as a module's forward, which is where data-parallel training hooks in."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(
        self, labelled: Batch, unlabelled: Batch | None, iteration: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        return self.method.step(labelled, unlabelled, iteration, generator)


def data_parallel(method: Method, device: torch.device) -> nn.Module:
    """The step, its gradients averaged over the processes where there are several."""
    step = Step(method)
    if distributed.world() == 1:
        return step
    return nn.parallel.DistributedDataParallel(
        step,
        device_ids=[device] if device.type == "cuda" else None,
        broadcast_buffers=False,  # bank and counts are equal by construction; BatchNorm: see average_statistics
        find_unused_parameters=True,  # heads rest during the warm-up
    )


@torch.no_grad()
def average_statistics(network: nn.Module) -> None:
    """Average the running statistics of BatchNorm over the processes, each of which has seen its part of the batch.

    SyncBatchNorm layers hold them in common already.
    """
    if distributed.world() == 1:
        return
    layers = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and m.training]
    buffers = [b for m in layers for b in (m.running_mean, m.running_var) if b is not None]
    if buffers:
        joined = distributed.mean(torch.cat([b.flatten() for b in buffers]))
        for buffer, value in zip(buffers, torch.split(joined, [b.numel() for b in buffers]), strict=True):
            buffer.copy_(value.view_as(buffer))


def log_means(sums: dict[str, Tensor], count: int) -> dict[str, float]:
    """Losses summed over ``count`` steps as means over steps and processes: the one wait for the device."""
    means = distributed.mean(torch.stack([value.detach().float() for value in sums.values()]) / count)
    return dict(zip(sums, means.tolist(), strict=True))


def parameters_are_finite(optimiser: torch.optim.Optimizer) -> bool:
    """Whether every parameter is a number."""
    parameters: list[Any] = [p for group in optimiser.param_groups for p in group["params"]]
    return bool(torch.stack([p.detach().isfinite().all() for p in parameters]).all())
