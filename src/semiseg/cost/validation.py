"""Bytes that a validation image takes in one pass, counted on the meta device."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from semiseg.config.read import Config
from semiseg.data.base import Size, resized
from semiseg.networks.build import build_network_of


def validation_memory(config: Config, num_classes: int, largest: Size) -> int:
    """A lower bound: the largest module's input and output, or the logits at the size of the mask.

    Weights are not counted; they lie in memory anyway.

    Args:
        config: network, ``data.resize`` and ``evaluation.*`` are read.
        num_classes: C.
        largest: (height, width) of the largest validation image as stored, upright.
    """
    seen = config.window if config.evaluation.mode == "sliding" else resized(largest, config.data.resize)
    images = config.evaluation.batch_size
    pixels = images * largest[0] * largest[1]
    # float32 logits, and the largest of them with its index; a window's logits are added to those of the whole.
    logits = pixels * (4 * num_classes + 12)
    with torch.device("meta"):
        network = build_network_of(config, num_classes, pretrained=False).eval()
        x = torch.empty(images, network.channels, *seen)
    peaks = [0]

    def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        tensors = [t for t in (*inputs, output) if isinstance(t, torch.Tensor)]
        peaks.append(sum(t.nbytes for t in tensors))

    hooks = [m.register_forward_hook(count) for m in network.modules() if not any(m.children())]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    in_network = max(peaks) // (2 if config.training.precision != "fp32" else 1)
    return max(in_network, logits)
