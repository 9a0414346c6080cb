"""Confusion of a network on each validation image by itself, so that the mIoU of any subset of them is known."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from semiseg.config.read import Config
from semiseg.data.base import ImageSet
from semiseg.evaluation.confusion import confusion_matrix
from semiseg.inference.plan import InferencePlan, segment


def confusions(
    network: nn.Module, images: ImageSet, chosen: Iterable[int], config: Config, device: torch.device
) -> np.ndarray:
    """int64 (chosen, C, C), rows the truth; whole images, brought to ``data.resize``."""
    plan, found = InferencePlan(resize=config.data.resize), []
    for i in chosen:
        truth = images.label(i)
        assert truth is not None
        mask, _ = segment(network, images.image(i), plan, device, confidence=False)
        found.append(confusion_matrix(mask, truth, images.info.num_classes))
    return np.stack(found)
