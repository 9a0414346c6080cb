"""Validation of a network on the configured split, as ``train`` and ``semiseg evaluate`` both do it."""

from __future__ import annotations

import torch
from torch import nn

from ..config import Config
from ..data.base import ImageSet
from ..data.loading import ResizedImages
from ..evaluation import EvaluationResult, evaluate_network


def validate(
    network: nn.Module, images: ImageSet, config: Config, device: torch.device | str = "cpu"
) -> EvaluationResult:
    """Confusion matrix and IoU in eval mode, single scale (section 4.2), leaving the network in its mode.

    Images are resized as in training; predictions are compared at the labels' own resolution.
    """
    crop = config.data.crop
    window = config.evaluation.window or ((crop, crop) if isinstance(crop, int) else crop)
    training = network.training
    network.eval()
    try:
        return evaluate_network(
            network,
            ResizedImages(images, config.data.resize) if config.data.resize else images,
            mode=config.evaluation.mode,
            window=window,
            stride=config.evaluation.stride,
            batch_size=config.evaluation.batch_size,
            device=device,
            across_processes=True,
        )
    finally:
        network.train(training)
