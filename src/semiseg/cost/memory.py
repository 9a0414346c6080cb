"""Bytes that a step's backward pass keeps, counted on the meta device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from semiseg.config.read import Config
from semiseg.methods.base import StepCost
from semiseg.networks import Output, SegmentationNetwork


def kept_for_backward(
    config: Config, student: SegmentationNetwork, step: StepCost, size: tuple[int, int]
) -> tuple[int, int]:
    """Bytes kept at the step's peak, and those of the largest single tensor among them.

    With ``training.passes=in_turn`` or ``training.activation_checkpointing`` the peak is what the losses keep plus the
    largest piece that is computed again.

    Args:
        config: precision and the two options are read.
        student: a learner on the meta device.
        step: images of each of its passes, and the losses on its output.
        size: (height, width) of the crop in pixels.
    """
    t, parts = config.training, step.student
    modules = [student, *step.modules.values()]
    known = {s.untyped_storage()._cdata for m in modules for s in (*m.parameters(), *m.buffers())}

    def images(count: int) -> Tensor:
        return torch.empty(count, student.channels, *size, device="meta")

    student.recompute = t.activation_checkpointing
    with torch.no_grad():
        whole = student(images(sum(parts)))
    passes = list(parts) if t.passes == "in_turn" else [sum(parts)]
    in_passes = [_kept(known, lambda n=n: student(images(n))) for n in passes]  # type: ignore[misc]
    output = Output(*(maps.detach().requires_grad_() for maps in whole))
    in_losses = _kept(known, lambda: step.losses(output, size))
    if t.activation_checkpointing:
        again = max((sum(_kept(known, run).values()) for run in _blocks(student, images(max(passes)))), default=0)
    else:
        again = 0
    peak = max(sum(kept.values()) for kept in in_passes) + again + sum(in_losses.values())
    if t.passes == "in_turn":  # every part's output waits for the losses
        peak += sum(maps.untyped_storage().nbytes() for maps in whole)
    largest = max((nbytes for kept in (*in_passes, in_losses) for nbytes in kept.values()), default=0)
    return (peak // 2, largest // 2) if t.precision != "fp32" else (peak, largest)


def _kept(known: set[int], run: Callable[[], Any]) -> dict[int, int]:
    """Bytes of every storage that autograd saves while ``run`` runs, those of parameters left out."""
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # storages of meta tensors are told apart by address, so none may be freed meanwhile

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            kept[storage._cdata] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        alive.append(run())
    return kept


def _blocks(student: SegmentationNetwork, images: Tensor) -> list[Callable[[], Any]]:
    """The backbone's pieces that are computed again one at a time, each as a function."""
    found: list[Callable[[], Any]] = []

    def remember(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        shape = inputs[0].shape
        found.append(lambda: module.forward(torch.empty(shape, device="meta", requires_grad=True)))

    pieces = student.backbone.recomputed_modules()
    hooks = [module.register_forward_pre_hook(remember) for module in pieces]
    with torch.no_grad():
        student(images)
    for hook in hooks:
        hook.remove()
    return found
