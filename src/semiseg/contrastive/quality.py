"""Which pixels of labelled images are good enough for the memory bank, by other rules than the paper's.

The paper's rule, right and above φ, is :func:`semiseg.memory_bank.feature_quality_filter`. It was made for a teacher of
many thousand steps: in a short run hardly any pixel of a rare class gets above φ, and the class stays without a vector.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from semiseg.config.contrastive import ContrastiveConfig
from semiseg.memory_bank import feature_quality_filter

PARTS = 1_000_000  # the share in whole parts: counts of pixels are compared without rounding


def quality_quantile_filter(probabilities: Tensor, labels: Tensor, share: float = 0.5) -> Tensor:
    """The best ``share`` of the pixels that the teacher gets right, class by class.

    A pixel of class c passes when the teacher is right and its confidence is among the ⌈share·n⌉ highest of the n right
    pixels of c in this batch; pixels as confident as the last of these pass as well. Where no pixel labelled c is
    right, all n pixels labelled c compete, by the probability of c: a class with a labelled pixel at this resolution
    always gets through. No loop over classes, nothing read back from the device.

    Args:
        probabilities: (B, C, h, w) the teacher's softmax at the features' resolution.
        labels: (B, h, w) int64, down-sampled to it; labels outside 0…C-1 never pass.
        share: q in (0, 1], to six decimals.

    Returns:
        (B, h, w) bool. Of several processes each looks at its own part of the batch.
    """
    num_classes = probabilities.shape[1]
    flat = labels.flatten()
    inside = (flat >= 0) & (flat < num_classes)
    bins = flat.where(inside, num_classes)
    # Of a right pixel this is the confidence.
    of_label = probabilities.gather(1, bins.clamp_max(num_classes - 1).view_as(labels)[:, None]).flatten()
    right = inside & (probabilities.argmax(dim=1).flatten() == flat)
    competes = inside & (right | (_counts(bins, right, num_classes) == 0)[bins])
    group = bins.where(competes, num_classes)
    n = _counts(group, competes, num_classes)

    order = (-of_label).argsort(stable=True)
    order = order[group[order].argsort(stable=True)]  # by class, the most probable first
    quota = -(-n * max(1, round(share * PARTS)) // PARTS)  # rounded up
    last = (n.cumsum(0) - n + quota - 1).clamp(0, len(flat) - 1)  # of a class without pixels: any, nothing asks for it
    passes = competes & (of_label >= of_label[order[last]][group])
    return passes.view_as(labels)


def admitted(config: ContrastiveConfig, probabilities: Tensor, labels: Tensor) -> Tensor:
    """The class under which the configured rule lets a pixel into the bank, (B, h, w) int64, -1 where it does not.

    Args:
        config: ``quality_rule`` and its threshold or share.
        probabilities: (B, C, h, w) softmax at the features' resolution.
        labels: (B, h, w) int64, down-sampled to it; labels outside 0…C-1 never pass.
    """
    if config.quality_rule == "threshold":
        return labels.where(feature_quality_filter(probabilities, labels, config.quality_threshold), -1)
    if config.quality_rule == "quantile":
        return labels.where(quality_quantile_filter(probabilities, labels, config.quality_quantile), -1)
    return admitted_labels(probabilities, labels, config.quality_rule, config.quality_threshold)


def admitted_labels(
    probabilities: Tensor, labels: Tensor, rule: Literal["right", "labelled", "confident"], threshold: float = 0.95
) -> Tensor:
    """Under which class a pixel enters the bank by one half of the paper's rule, or by none (PixCon; Tarubinga, 2026).

    Args:
        probabilities: (B, C, h, w) softmax at the features' resolution.
        labels: (B, h, w) int64, down-sampled to it; labels outside 0…C-1 never pass.
        rule: ``"right"`` pixels, ``"labelled"`` ones, or those whose prediction is ``"confident"``, as what they are
            predicted to be: the only rule by which a vector may stand under a wrong class.
        threshold: φ, of the last rule; the confidence must be above it.

    Returns:
        (B, h, w) int64, -1 where a pixel does not pass.
    """
    confidence, predicted = probabilities.max(dim=1)
    inside = (labels >= 0) & (labels < probabilities.shape[1])
    if rule == "confident":
        return predicted.where(inside & (confidence > threshold), -1)
    return labels.where(inside & (predicted == labels) if rule == "right" else inside, -1)


def _counts(bins: Tensor, counted: Tensor, num_classes: int) -> Tensor:
    """(C + 1,) int64: how many ``counted`` rows each bin has."""
    empty = torch.zeros(num_classes + 1, dtype=torch.int64, device=bins.device)
    return empty.index_add(0, bins, counted.to(torch.int64))
