"""What a training step costs, before it is run: FLOPs, parameters and memory, split as the paper splits them.

Counted by PyTorch's own ``FlopCounterMode`` on the meta device: nothing is allocated and no weights are loaded, so a
ResNet-101 at 512² takes a second. It counts convolutions and matrix products, two operations a multiply-add;
normalisation, activations and additions (under half a percent here) are left out. docs/cost.md compares with the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from semiseg.config.read import Config
from semiseg.cost.memory import kept_for_backward
from semiseg.methods.base import Method, StepCost
from semiseg.methods.base.bank import method_of
from semiseg.networks.build import build_network_of
from semiseg.runtime.flops import count_flops

# "Losses impact", section 4.4: one labelled and one unlabelled image of 512×512, in GFLOPs.
PAPER = {
    "labelled": 372.04, "unlabelled": 372.04, "pseudo-labels": 372.04, "heads": 8.59, "attention": 15.96,
    "distances": 10.52,
}  # fmt: skip
PAPER_TOTAL = 1151.19


@dataclass(frozen=True)
class Cost:
    """Cost of a configuration.

    Attributes:
        flops: forward pass of one labelled and one unlabelled image with one view, by part, as the paper counts.
        step_flops: forward and backward of a whole step, with the configured batch and views.
        first_stage: steps of the supervised stage that ``method.stages`` puts first, and FLOPs of one of them; 0 and 0
            where there is none.
        parameters: of the student and whatever else learns; the teacher has as many again.
        memory: bytes of a step by part; ``activations`` are what the backward pass keeps.
    """

    flops: dict[str, int]
    step_flops: int
    first_stage: tuple[int, int]
    parameters: dict[str, int]
    memory: dict[str, int]

    @property
    def total(self) -> int:
        """FLOPs of one labelled and one unlabelled image."""
        return sum(self.flops.values())

    @property
    def memory_total(self) -> int:
        """Bytes that a step needs at least; an allocator's rounding and cuDNN's workspaces come on top."""
        return sum(self.memory.values())

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the paper's figures beside."""
        return {
            "flops": self.flops, "flops_total": self.total, "step_flops": self.step_flops,
            "first_stage_steps": self.first_stage[0], "first_stage_step_flops": self.first_stage[1],
            "parameters": self.parameters, "memory_bytes": self.memory, "memory_bytes_total": self.memory_total,
            "paper_gflops": PAPER, "paper_gflops_total": PAPER_TOTAL,
        }  # fmt: skip


def cost(config: Config, num_classes: int) -> Cost:
    """Count the step of a configuration, on the crop that it trains on.

    Args:
        config: method, network, crop and batch are read; no data and no weights are.
        num_classes: C.
    """
    t, size = config.training, config.data.crop_size
    method, step = meta_method(config, num_classes)
    learners = list(method.learners().values())
    one = torch.empty(1, config.data.channel_count, *size, device="meta")
    forward = sum(count_flops(lambda n=network: n(one)) for network in learners)  # type: ignore[misc]
    flops = {"labelled": forward}
    if method.needs.unlabelled:
        flops["unlabelled"] = forward
    if method.teacher is not None:
        flops["pseudo-labels"] = count_flops(lambda: method.teacher(one))  # type: ignore[misc]
    with torch.no_grad():
        further = step.flops(learners[0](one), size)
    flops |= further

    passes = 3 + t.activation_checkpointing + (t.passes == "in_turn")  # forward, backward twice, and again
    images = sum(step.student)
    step_flops = passes * forward * images + flops.get("pseudo-labels", 0) * step.teacher
    step_flops += 3 * sum(further.values()) * images // 2
    supervised = (3 + t.activation_checkpointing) * forward * t.batch_size if method.first_stage else 0
    learned = {name: _numel(network) for name, network in method.learners().items()}
    learned |= {name: _numel(module) for name, module in step.modules.items()}
    return Cost(flops, step_flops, (method.first_stage, supervised), learned, _memory(config, method, step))


def step_memory(config: Config, num_classes: int) -> dict[str, int]:
    """Bytes of a step by part, as in ``Cost.memory``."""
    return _memory(config, *meta_method(config, num_classes))


def meta_method(config: Config, num_classes: int) -> tuple[Method, StepCost]:
    """The configured method on the meta device, in training mode, and what a step of it computes."""
    with torch.device("meta"):
        network = build_network_of(config, num_classes, pretrained=False)
        method: Method = method_of(config)(config, network, 1).train()
    t = config.training
    unlabelled = max(1, round(t.batch_size * t.unlabelled_ratio)) * method.needs.crops
    return method, method.cost(t.batch_size, unlabelled if method.needs.unlabelled else 0)


def _memory(config: Config, method: Method, step: StepCost) -> dict[str, int]:
    size = config.data.crop_size
    learners = list(method.learners().values())
    kept = [kept_for_backward(config, network, step, size) for network in learners]
    modules = [*learners, *step.modules.values()]
    gradients = 4 * sum(map(_numel, modules))
    labelled, *views = step.student
    seen = max(views, default=0)
    return {
        "weights": 4 * sum(map(_state_numel, modules)),
        "gradients": gradients,
        "optimiser": _optimiser_bytes(method, {id(p) for module in modules for p in module.parameters()}),
        "teacher": 4 * _state_numel(method.teacher) if method.teacher is not None else 0,
        "images and labels": (labelled + sum(views) + seen) * size[0] * size[1] * (config.data.channel_count * 4 + 8),
        "activations": sum(peak for peak, _ in kept),
        "largest gradient of an activation": max(largest for _, largest in kept),
    }


def _optimiser_bytes(method: Method, counted: set[int]) -> int:
    """What the optimisers remember of the parameters in ``counted``: a momentum with SGD, two averages with Adam."""
    kinds = {
        name: (1 if config.momentum else 0) if config.kind == "sgd" else 2
        for name, config in method.optimisers().items()
    }
    groups = method.groups()
    return sum(4 * p.numel() * kinds[group.optimiser] for group in groups for p in group.parameters if id(p) in counted)


def _numel(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _state_numel(module: nn.Module) -> int:
    return sum(value.numel() for value in module.state_dict().values())
