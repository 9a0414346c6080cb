"""Recomputing a module's activations in the backward pass, without its BatchNorm counting the batch twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recomputed(module: nn.Module, x: Tensor, active: bool) -> Any:
    """``module(x)``; when ``active``, its activations are not kept but computed again for the gradients.

    PyTorch's ``checkpoint`` runs the forward pass twice, and BatchNorm would move its running statistics twice: in the
    second run they stay (momentum 0), so that the result is the same as without.
    """
    if not active:
        return module(x)
    return checkpoint(module, x, use_reentrant=False, context_fn=lambda: (nullcontext(), _statistics_kept(module)))


def recomputed_blocks(blocks: nn.Sequential, x: Tensor, active: bool) -> Tensor:
    """``blocks(x)``; when ``active``, only each block's input is kept, and one block at a time computed again."""
    for block in blocks:
        x = recomputed(block, x, active)
    return x


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    layers = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    before = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, (momentum, tracked) in zip(layers, before, strict=True):
            layer.momentum = momentum
            if tracked is not None:
                tracked.sub_(int(layer.training))
