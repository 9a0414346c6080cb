"""What a step computes and keeps, as a method tells it for counting before a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from semiseg.losses import entropy, weighted_cross_entropy
from semiseg.networks import Output, upsample


def plain_losses(output: Output, size: tuple[int, int]) -> Tensor:
    """Cross-entropy of every image: all that a step without further terms keeps tensors for."""
    labels = torch.zeros(len(output.logits), *size, dtype=torch.int64, device=output.logits.device)
    return weighted_cross_entropy(upsample(output.logits, size), labels)


def with_entropy(output: Output, size: tuple[int, int]) -> Tensor:
    """Cross-entropy and the entropy of eq. 7, on one full-size map of logits."""
    labels = torch.zeros(len(output.logits), *size, dtype=torch.int64, device=output.logits.device)
    logits = upsample(output.logits, size)
    return weighted_cross_entropy(logits, labels) + entropy(logits)


class StepCost(NamedTuple):
    """What a step computes.

    Attributes:
        student: images that every learner sees with gradients: those of the labelled batch, then of every view.
        teacher: images that the teacher sees.
        modules: what learns beside the learners, by the words for it.
        flops: forward FLOPs by part of one labelled and one unlabelled image in those modules, given a learner's
            output for one image, (1, ·, h, w) on the meta device, and the image's (height, width).
        losses: the step's losses on a learner's output for all images of ``student``, on the meta device, as far as
            they keep tensors for the backward pass; given (height, width) too.
    """

    student: tuple[int, ...]
    teacher: int
    modules: Mapping[str, nn.Module] = MappingProxyType({})
    flops: Callable[[Output, tuple[int, int]], dict[str, int]] = lambda output, size: {}
    losses: Callable[[Output, tuple[int, int]], Tensor] = plain_losses
