"""What an exported file holds: a network that takes plain images, and the facts its user needs; its comparison."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from semiseg import __version__
from semiseg.errors import SemisegError
from semiseg.networks import SegmentationNetwork, upsample
from semiseg.runs.checkpoint import LoadedModel

TOLERANCE = 1e-4
# Sides that are even, odd, long and below the training crop; batches of one and more.
SHAPES = ((1, 64, 64), (2, 97, 131), (1, 45, 200), (3, 80, 48))
EXAMPLE = (2, 96, 128)
PIXELS = {"channels", "intensity", "percentiles", "ranges", "stack"}
"""Settings of ``data.*`` that say how files become images in [0, 1]."""


class ImageToLogits(nn.Module):
    """images (B, channels, H, W) float32 in [0, 1] → logits (B, C, H, W) float32; the network normalises its input."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return upsample(self.network(images).logits, images.shape[-2:])


def prepared(model: LoadedModel) -> ImageToLogits:
    """The network on the CPU in the plain memory layout, in eval mode."""
    return ImageToLogits(model.network.cpu().to(memory_format=torch.contiguous_format)).eval()  # type: ignore[call-overload]


def metadata(model: LoadedModel) -> dict[str, str]:
    """Facts as strings, which is what ONNX and safetensors hold; lists and numbers as JSON."""
    config = model.config
    return {
        "semiseg": __version__,
        "classes": json.dumps(list(model.info.classes)),
        "colours": json.dumps([list(colour) for colour in model.info.colours]),
        "ignore_index": json.dumps(model.info.ignore_index),
        "resize": json.dumps(config.data.resize),
        "pixels": json.dumps(config.data.model_dump(mode="json", include=PIXELS)),
        "network": f"{config.network.architecture}, {config.network.backbone}",
        "trained": f"{config.method.name} on {model.info.name}, {model.iteration} iterations",
    }


@torch.no_grad()
def compare(expected: ImageToLogits, found: Callable[[Tensor], Tensor], path: Path) -> None:
    """Compare logits on several batches and sizes, with a tolerance of 1e-4 of the largest.

    Args:
        expected: the network in PyTorch.
        found: what the exported file computes, images (B, channels, H, W) → logits (B, C, H, W).
        path: the exported file, for the message.

    Raises:
        SemisegError: they differ; the message says for which size and by how much.
    """
    generator = torch.Generator().manual_seed(0)
    for batch, height, width in SHAPES:
        images = torch.rand(batch, expected.network.channels, height, width, generator=generator)
        truth = expected(images)
        difference = float((found(images) - truth).abs().max())
        if not difference <= TOLERANCE * max(1.0, float(truth.abs().max())):
            shape = "×".join(map(str, images.shape))
            raise SemisegError(
                f"the exported {path.suffix} differs from PyTorch by {difference:.2g} on {shape} images and was not "
                f"kept; please report it with your torch version, {torch.__version__}"
            )
