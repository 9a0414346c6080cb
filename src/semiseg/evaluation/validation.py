"""Validation of a network on a split of its data set, in training and by ``semiseg evaluate``."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from semiseg.config.read import Config
from semiseg.data.base import ImageSet
from semiseg.data.resizing import ResizedImages
from semiseg.errors import SemisegError
from semiseg.evaluation.confusion import EvaluationResult
from semiseg.evaluation.image_set import evaluate_network
from semiseg.inference.plan import InferencePlan, out_of_memory, segment
from semiseg.visualise import as_rgb, colourise

PICTURES = 4


def validate(
    network: nn.Module,
    images: ImageSet,
    config: Config,
    device: torch.device | str = "cpu",
    precision: str | None = None,
    needs_truth: bool = True,
) -> EvaluationResult:
    """Confusion matrix and IoU in eval mode, single scale (section 4.2), leaving every module in its mode.

    Images are resized as in training; logits are brought to float32 and to the labels' own resolution.

    Args:
        network: images (B, channels, H, W) in [0, 1] -> an output with ``logits`` (B, C, h, w).
        images: the split, with masks.
        config: the run; resize, evaluation mode and ``training.precision`` are read.
        device: where the network is moved to.
        precision: instead of ``training.precision``: ``fp32``, ``bf16`` or ``fp16``.
        needs_truth: as :func:`semiseg.evaluation.image_set.evaluate_network` takes it.

    Raises:
        SemisegError: no image has a mask, a mask holds a value that is no class, or the memory does not suffice.
        UsageError: no such precision.
    """
    try:
        return evaluate_network(
            network,
            ResizedImages(images, config.data.resize) if config.data.resize else images,
            mode=config.evaluation.mode,
            window=config.window,
            stride=config.evaluation.stride,
            batch_size=config.evaluation.batch_size,
            device=device,
            precision=config.training.precision if precision is None else precision,
            across_processes=True,
            needs_truth=needs_truth,
        )
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise SemisegError(
            f"out of memory on {device} in a validation: try {smaller(config)}; --resume takes it and goes on from the "
            "last checkpoint"
        ) from error


def smaller(config: Config) -> str:
    """What makes a validation need less memory."""
    if config.evaluation.mode != "sliding":
        return "evaluation.mode=sliding, in windows of the training crop"
    if config.evaluation.batch_size > 1:
        return "evaluation.batch_size=1"
    return f"a smaller evaluation.window than {list(config.window)}, or a smaller data.resize"


def validation_pictures(
    network: nn.Module, images: ImageSet, config: Config, device: torch.device | str = "cpu"
) -> dict[str, np.ndarray]:
    """The first four labelled images as image | truth | prediction, uint8 (H, 3·W, 3), by name; all modes stay."""
    evaluation = config.evaluation
    plan = InferencePlan(
        mode=evaluation.mode, window=config.window, stride=evaluation.stride, resize=config.data.resize,
        precision=config.training.precision,
    )  # fmt: skip
    found = {}
    for i in [i for i in range(len(images)) if images.has_label(i)][:PICTURES]:
        image, truth = images.image(i), images.label(i)
        assert truth is not None
        mask, _ = segment(network, image, plan, device, confidence=False)
        parts = [
            as_rgb(image, config.data.shown),
            colourise(truth, images.info.colours),
            colourise(mask, images.info.colours),
        ]
        found[images.names[i]] = np.concatenate(parts, axis=1)
    return found
