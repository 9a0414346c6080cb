"""What a segmentation network gives, and its logits at the size of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.runtime.precision import at_least_single


class Output(NamedTuple):
    """logits (B, C, h, w) and features V = f_θ⁻(x) (B, D, h, w), both at the features' resolution.

    Where a network is told to show its backbone's last map (``SegmentationNetwork.tap``), that is ``features``, at its
    own resolution.
    """

    logits: Tensor
    features: Tensor

    def part(self, some: slice) -> Output:
        """The output of some images of the batch."""
        return Output(self.logits[some], self.features[some])


def upsample(logits: Tensor, size: Sequence[int]) -> Tensor:
    """logits (B, C, h, w) → (B, C, *size), bilinear with half-pixel centres (align_corners=False)."""
    return F.interpolate(logits, size=list(size), mode="bilinear", align_corners=False)


def probabilities(logits: Tensor, size: torch.Size) -> Tensor:
    """Softmax at full size, float32 at least: (B, C, h, w) → (B, C, *size)."""
    return at_least_single(upsample(logits, size)).softmax(dim=1)
