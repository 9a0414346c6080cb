"""Maps of classes that an image does not show, left out of a prediction (Mittal et al., TPAMI 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

ABSENT = -1e4
"""Logit of a class that is left out: no share in any softmax, and within half precision."""


def classes_there(logits: Tensor, threshold: float) -> Tensor:
    """(B, C) bool: classes whose probability reaches the threshold, given a classifier's logits; all where none does,
    since some class must be there."""
    there = logits.sigmoid() >= threshold
    return there | ~there.any(dim=1, keepdim=True)


class Presence(nn.Module):
    """A classifier of images that says which maps of a segmentation count.

    Args:
        classifier: images (B, 3, H, W) → logits (B, C) that a class is somewhere in the image.
        threshold: probability from which on it is.
    """

    def __init__(self, classifier: nn.Module, threshold: float) -> None:
        super().__init__()
        self.classifier, self.threshold = classifier, threshold

    def forward(self, images: Tensor, logits: Tensor) -> Tensor:
        """Logits (B, C, h, w) of these images (B, 3, H, W), at most ``ABSENT`` in the maps of absent classes."""
        there = classes_there(self.classifier(images), self.threshold)[..., None, None]
        return torch.where(there, logits, logits.clamp_max(ABSENT))
