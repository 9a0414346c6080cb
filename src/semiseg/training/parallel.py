"""Training in several processes: the step as one module, statistics and logged values in common."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from semiseg.methods.base import Method, Step
from semiseg.methods.base.stages import supervised_losses
from semiseg.networks.heads import MaskedBatchNorm
from semiseg.runtime import distributed


class StepModule(nn.Module):
    """A method's losses as a module's forward, which is where data-parallel training hooks in."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, step: Step, supervised: bool = False) -> dict[str, Tensor]:
        """The method's losses, or those of a ``supervised`` round.

        Raises:
            ValueError: other names than it says: a mistake of the method.
        """
        losses = supervised_losses(self.method, step) if supervised else self.method.losses(step)
        if losses.keys() != (said := {"loss", *self.method.terms, *self.method.watched}):
            raise ValueError(f"losses() gave {sorted(losses)}; terms and watched say {sorted(said)}")
        return losses


def data_parallel(method: Method, device: torch.device) -> nn.Module:
    """The step, its gradients averaged over the processes where there are several."""
    step = StepModule(method)
    if distributed.world() == 1:
        return step
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of the name broadcast_buffers, which older versions need
        return nn.parallel.DistributedDataParallel(
            step,
            device_ids=[device] if device.type == "cuda" else None,
            broadcast_buffers=False,  # bank and counts are equal by construction; BatchNorm: see average_statistics
            find_unused_parameters=True,  # heads rest during the warm-up
        )


def sync_batch_norm(method: Method) -> None:
    """BatchNorm of every part of a method over the joint batch: learners, teachers and critics alike.

    Parts with ``MaskedBatchNorm`` are left: it takes the rows of all processes as it is.
    """
    for part in method.children():
        if not any(isinstance(module, MaskedBatchNorm) for module in part.modules()):
            nn.SyncBatchNorm.convert_sync_batchnorm(part)  # type: ignore[no-untyped-call]


@torch.no_grad()
def average_statistics(method: nn.Module) -> None:
    """Average the running statistics of BatchNorm over the processes, each of which has seen its part of the batch.

    Of all networks in training mode, a teacher on batch statistics included. SyncBatchNorm and ``MaskedBatchNorm``
    hold them in common already.
    """
    if distributed.world() == 1:
        return
    in_common = (nn.SyncBatchNorm, MaskedBatchNorm)
    layers = [m for m in method.modules() if isinstance(m, _BatchNorm) and not isinstance(m, in_common) and m.training]
    buffers = [b for m in layers for b in (m.running_mean, m.running_var) if b is not None]
    if buffers:
        joined = distributed.mean(torch.cat([b.flatten() for b in buffers]))
        for buffer, value in zip(buffers, torch.split(joined, [b.numel() for b in buffers]), strict=True):
            buffer.copy_(value.view_as(buffer))


def log_means(sums: dict[str, Tensor], count: int) -> dict[str, float]:
    """Losses summed over ``count`` steps as means over steps and processes: the one wait for the device."""
    means = distributed.mean(torch.stack([value.detach().float() for value in sums.values()]) / count)
    return dict(zip(sums, means.tolist(), strict=True))
