"""Pseudo-label quality: accuracy and confidence of the teacher on some unlabelled images, never used for training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from semiseg.config.read import Config
from semiseg.data.base import ImageSet
from semiseg.data.resizing import resize_image
from semiseg.data.run_data import RunData
from semiseg.errors import SemisegError
from semiseg.inference.logits import evaluating, sliding_window_logits, whole_image_logits
from semiseg.runtime import distributed
from semiseg.runtime.precision import autocast

WATCHED = 16  # fewer say little: the accuracy differs by several points from image to image
SHARE_OF_VALIDATION = 0.04
CONFIDENT = 0.9


def watched_images(data: RunData) -> list[int]:
    """Indices into ``data.train`` of the unlabelled images to watch, evenly spread and the same in every run.

    16 images whose masks exist but are hidden from training, or all of them where they are fewer: there the
    pseudo-labels can be counted right or wrong. Where no mask is hidden the confidence alone is watched, on 4 % as
    many images as the validation set has, from 2 to 16. Empty where every training image is labelled.
    """
    labelled = set(data.labelled)
    unlabelled = [i for i in data.unlabelled if i not in labelled]
    with_mask = [i for i in unlabelled if data.train.has_label(i)]
    most = WATCHED if with_mask else min(WATCHED, max(2, round(SHARE_OF_VALIDATION * len(data.val))))
    pool = with_mask or unlabelled
    count = min(most, len(pool))
    return [pool[k * len(pool) // count] for k in range(count)]


def pseudo_label_quality(
    teacher: nn.Module,
    images: ImageSet,
    indices: list[int],
    config: Config,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Quality of the teacher's pseudo-labels (eq. 5) on whole images, in eval mode as a validation predicts.

    Several processes share the images and all get the figures of the whole set. No random number is drawn, and every
    module of the teacher is left in the mode it was in.

    Args:
        teacher: f_ξ, images (B, 3, H, W) in [0, 1] -> an output with ``logits`` (B, C, h, w).
        images: the training images.
        indices: which of them to look at.
        config: the run; resize, evaluation mode and ``training.precision`` are read: pseudo-labels are made in it.
        device: where the teacher is moved to.

    Returns:
        Fractions in [0, 1] over pixels: ``accuracy`` against the hidden masks (None without any), ``confidence`` the
        mean highest probability, ``confident`` the share of pixels above 0.9 and ``confident_accuracy`` the accuracy of
        those (None without any, or without masks); ``class_share`` and ``class_confidence``, lists of length C: each
        class's share of the pseudo-labels and their mean confidence (None for a class that is never predicted); and
        ``images``, how many were looked at. Without any image all fractions are None.

    Raises:
        SemisegError: an image cannot be read.
    """
    classes = images.info.num_classes
    # as _one_image: six counts, then pixels and confidence of each class
    sums = torch.zeros(6 + 2 * classes, dtype=torch.float64)
    with evaluating(teacher, device) as run_device, autocast(config.training.precision, run_device):
        for i in indices[distributed.rank() :: distributed.world()]:
            sums += _one_image(teacher, images, i, config, run_device)
    sums = distributed.total(sums.to(device)).cpu()
    right, known, sure_right, sure_known, confident, seen = sums[:6].tolist()
    of_class, confidence = sums[6 : 6 + classes].tolist(), sums[6 + classes :].tolist()
    pixels = sum(of_class)
    return {
        "accuracy": right / known if known else None,
        "confidence": sum(confidence) / pixels if pixels else None,
        "confident": confident / pixels if pixels else None,
        "confident_accuracy": sure_right / sure_known if sure_known else None,
        "class_share": [n / pixels if pixels else None for n in of_class],
        "class_confidence": [total / n if n else None for total, n in zip(confidence, of_class, strict=True)],
        "images": int(seen),
    }


def _one_image(teacher: nn.Module, images: ImageSet, i: int, config: Config, device: torch.device) -> torch.Tensor:
    """Pixels right and known, the same two of the confident ones, all confident ones, 1; then C pixel counts by class
    and C sums of confidence: float64 (6 + 2·C,)."""
    image = images.image(i)
    try:
        truth = images.label(i)
    except SemisegError:  # training never reads this mask, so a damaged one must not stop it
        truth = None
    height, width = image.shape[:2] if truth is None else truth.shape
    seen = resize_image(image, config.data.resize) if config.data.resize else image
    batch = torch.from_numpy(np.stack([seen])).to(device).permute(0, 3, 1, 2).float().div_(255)
    if config.evaluation.mode == "sliding":
        logits = sliding_window_logits(teacher, batch, config.window, config.evaluation.stride)
        if logits.shape[-2:] != (height, width):
            logits = nn.functional.interpolate(logits, size=(height, width), mode="bilinear", align_corners=False)
    else:
        logits = whole_image_logits(teacher, batch, (height, width))
    confidence, labels = logits.softmax(dim=1).max(dim=1)
    sure = confidence > CONFIDENT
    against_mask = [0, 0, 0, 0]
    if truth is not None:
        valid, certain = truth < logits.shape[1], sure[0].cpu().numpy()
        right = (labels[0].cpu().numpy() == truth) & valid
        against_mask = [int(pixels.sum()) for pixels in (right, valid, right & certain, valid & certain)]
    head = torch.tensor([*against_mask, int(sure.sum()), 1], dtype=torch.float64)
    labels, confidence = labels.flatten(), confidence.flatten().double()
    of_class = torch.bincount(labels, minlength=logits.shape[1]).double()
    # bincount() with weights is not deterministic.
    confidence_sums = torch.zeros_like(of_class).index_add_(0, labels, confidence)
    return torch.cat([head, of_class.cpu(), confidence_sums.cpu()])
