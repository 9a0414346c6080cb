"""What a training step costs, before it is run: FLOPs, parameters and memory, split as the paper splits them.

Counted by PyTorch's own ``FlopCounterMode`` on the meta device: nothing is allocated and no weights are loaded, so a
ResNet-101 at 512² takes a second. It counts convolutions and matrix products, two operations a multiply-add;
normalisation, activations and additions (under half a percent here) are left out. docs/cost.md compares with the paper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from semiseg.config.read import Config
from semiseg.contrastive import ContrastiveModule, rows
from semiseg.cost.memory import kept_for_backward
from semiseg.networks import SegmentationNetwork, build_network

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
        parameters: of student, heads and attention networks that learn; the teacher has as many again.
        memory: bytes of a step by part; ``activations`` are what the backward pass keeps.
    """

    flops: dict[str, int]
    step_flops: int
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
            "parameters": self.parameters, "memory_bytes": self.memory, "memory_bytes_total": self.memory_total,
            "paper_gflops": PAPER, "paper_gflops_total": PAPER_TOTAL,
        }  # fmt: skip


def cost(config: Config, num_classes: int) -> Cost:
    """Count the step of a configuration, on the crop that it trains on.

    Args:
        config: method, network, crop and batch are read; no data and no weights are.
        num_classes: C.
    """
    student, teacher = _network(config, num_classes), _network(config, num_classes).requires_grad_(False)
    bank, contrast = config.method.name == "memory_bank", _contrast(config, num_classes)
    one = _images(1, config.data.crop_size)
    unlabelled = config.method.name != "supervised"
    forward = _count(lambda: student(one))
    flops = {"labelled": forward}
    if unlabelled:
        flops |= {"unlabelled": forward, "pseudo-labels": _count(lambda: teacher(one))}
    if contrast is not None:
        flops |= _contrastive_flops(contrast, student, one, num_classes)

    t = config.training
    labelled, views, seen = _batch(config)
    teachers = labelled + seen if bank else seen
    passes = 3 + t.activation_checkpointing + (t.passes == "in_turn")  # forward, backward twice, and again
    step = passes * forward * (labelled + views * seen) + forward * teachers
    if contrast is not None:
        head_flops = sum(flops.get(part, 0) for part in ("heads", "attention", "distances"))
        step += 3 * head_flops * (labelled + views * seen) // 2
    learned = {"student": _numel(student)} | ({"heads and attention": _numel(contrast)} if contrast is not None else {})
    return Cost(flops, step, learned, step_memory(config, num_classes))


def step_memory(config: Config, num_classes: int) -> dict[str, int]:
    """Bytes of a step by part, as in ``Cost.memory``."""
    student, contrast = _network(config, num_classes), _contrast(config, num_classes)
    size, t = config.data.crop_size, config.training
    labelled, views, seen = _batch(config)
    parts = [labelled] + ([seen] * views if seen else [])
    kept, largest = kept_for_backward(config, student, contrast, parts, size)
    modules = [m for m in (student, contrast) if m is not None]
    gradients = 4 * sum(map(_numel, modules))
    states = {"sgd": 1 if t.momentum else 0, "adamw": 2}[t.optimizer]
    return {
        "weights": 4 * sum(p.numel() for m in modules for p in m.state_dict().values()),
        "gradients": gradients,
        "optimiser": states * gradients,
        "teacher": 4 * sum(p.numel() for p in student.state_dict().values()) if seen else 0,
        "images and labels": (labelled + (views + 1) * seen) * size[0] * size[1] * (3 * 4 + 8),
        "activations": kept,
        "largest gradient of an activation": largest,
    }


def _batch(config: Config) -> tuple[int, int, int]:
    """Labelled crops, views of an unlabelled crop, unlabelled crops of a step."""
    t, name = config.training, config.method.name
    seen = max(1, round(t.batch_size * t.unlabelled_ratio)) if name != "supervised" else 0
    return t.batch_size, config.method.pseudo.views if name == "memory_bank" else 1, seen


def _contrast(config: Config, num_classes: int) -> ContrastiveModule | None:
    if config.method.name != "memory_bank" or config.method.weights.contrastive == 0:  # it is not run then
        return None
    with torch.device("meta"):
        width = _network(config, num_classes).feature_dim
        return ContrastiveModule(config.method.contrastive, width, num_classes, 1)


def _network(config: Config, num_classes: int) -> SegmentationNetwork:
    c = config.network
    with torch.device("meta"):
        return build_network(
            c.architecture, c.backbone, num_classes, c.output_stride, c.pretrained, load=False,
            batch_norm=c.batch_norm, decoder_channels=c.decoder_channels, aspp=c.aspp,
        ).train()  # fmt: skip


def _images(count: int, size: tuple[int, int]) -> Tensor:
    return torch.empty(count, 3, *size, device="meta")


def _numel(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _count(run: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return int(counter.get_total_flops())


def _contrastive_flops(
    contrast: ContrastiveModule, student: SegmentationNetwork, image: Tensor, num_classes: int
) -> dict[str, int]:
    """Heads, attention and distances of one labelled and one unlabelled image, with a full bank."""
    with torch.no_grad():
        v = rows(contrast.at_stride(student(image).features, image.shape[-2])).repeat(2, 1)
    p, z = len(v), contrast.bank.num_classes * contrast.bank.size
    heads = _count(lambda: contrast.prediction(contrast.projection(v)))
    teacher = _count(lambda: contrast.teacher_projection(v[: len(v) // 2]))
    # Each row passes the network of its class: two layers, D×D and D×1. Blocks padded to one size would count more.
    per_row = 2 * (contrast.config.dim**2 + contrast.config.dim)
    attention = per_row * (p + z + p // 2) if contrast.config.attention else 0
    # Eq. 11 factorised: a weighted sum over either side (a multiply-add a value), one product a class.
    distances = 2 * (p + z + num_classes) * contrast.config.dim
    return {"heads": heads + teacher, "attention": attention, "distances": distances}
