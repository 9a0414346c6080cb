"""The views of a step's crops: weak for labelled ones; geometry, colour or both for unlabelled ones; and ClassMix."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor

from semiseg.augment.mixing import classmix_masks, paste
from semiseg.augment.weak_strong import (
    STRONG,
    STRONG_REFERENCE,
    WEAK,
    WEAK_REFERENCE,
    WIDE,
    Strength,
    augment,
)
from semiseg.config.method import AugmentConfig
from semiseg.data.base import IGNORE
from semiseg.methods.base.step import Step

NOTHING = Strength(flip=0, resize=0, jitter=0, brightness=0, contrast=0, saturation=0, hue=0, blur=0, classmix=0)


class LabelledView(NamedTuple):
    """x_l^a of eq. 4: images (B, 3, H, W), labels (B, H, W), and labels with 255 outside target-domain pixels."""

    images: Tensor
    labels: Tensor
    target_labels: Tensor


def strengths(config: AugmentConfig) -> tuple[Strength, Strength]:
    """The weak and the strong set that a configuration names."""
    flip = dataclasses.replace(NOTHING, flip=0.5)
    scale = dataclasses.replace(flip, resize=1.0, resize_range=(0.5, 1.5))
    wide = dataclasses.replace(WIDE, jitter=0.0, grey=0.0, blur=0.0)
    alone = {"flip": flip, "scale": scale}
    weak = {"paper": WEAK, "reference": WEAK_REFERENCE, "none": NOTHING, "wide": wide} | alone
    strong = {"paper": STRONG, "reference": STRONG_REFERENCE, "weak": WEAK, "wide": WIDE} | alone
    return weak[config.weak], strong[config.strong]


class Views:
    """Augmentation as configured.

    Args:
        config: which sets, and the rule of ClassMix.
        num_classes: C.
        warmup: steps of the warm-up, in which ClassMix rests where the authors have it so.
    """

    def __init__(self, config: AugmentConfig, num_classes: int, warmup: int = 0) -> None:
        self.config, self.num_classes, self.warmup = config, num_classes, warmup
        self.weak_set, self.strong_set = strengths(config)

    def weak(self, step: Step) -> LabelledView:
        """Weak augmentation and ClassMix of the labelled crops.

        ClassMix may paste one domain into the other, and the bank takes the target's features only (section 4.3.2).
        """
        batch = step.labelled
        images, labels, _ = augment(batch.images, batch.labels, None, self.weak_set, step.draws, context=batch.context)
        of_target = labels if batch.target is None else labels.where(batch.target[:, None, None], IGNORE)
        return LabelledView(*self.mix(labels, self.weak_set.classmix, step, images, labels, of_target))

    def strong(self, step: Step, images: Tensor, labels: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x_u^a of eq. 6: strong augmentation, then ClassMix, of image, pseudo-label and confidence together."""
        images, labels, moved = augment(images, labels, confidence, self.strong_set, step.draws)
        assert moved is not None
        mixed = self.mix(labels, self.strong_set.classmix, step, images, labels, moved)
        return mixed[0], mixed[1], mixed[2]

    def geometry(self, step: Step) -> tuple[Tensor, Tensor]:
        """Unlabelled crops under flip and resize of the strong set, colours as they are.

        Returns:
            images (B, 3, H, W), and (B, H, W) bool: where they show an image at all, neither padding nor the border
            that a reduced image leaves. Nothing may be learnt outside.
        """
        batch, context = step.x_u, step.x_u.context
        if context is not None:  # all of it is image, up to its extent
            around = context.tensors[0]
            context = dataclasses.replace(context, tensors=[around, torch.zeros_like(around[:, 0], dtype=torch.int64)])
        inside = batch.without_padding(torch.zeros_like(batch.labels))
        geometry = dataclasses.replace(self.strong_set, jitter=0.0, grey=0.0, blur=0.0, classmix=0.0)
        images, inside, _ = augment(batch.images, inside, None, geometry, step.draws, context=context)
        return images, inside != IGNORE

    def colour(self, step: Step, images: Tensor) -> Tensor:
        """Jitter, grey and blur of the strong set without its geometry."""
        colour = dataclasses.replace(self.strong_set, flip=0.0, resize=0.0, classmix=0.0)
        images, _, _ = augment(images, torch.zeros_like(images[:, 0], dtype=torch.int64), None, colour, step.draws)
        return images

    def mix(self, labels: Tensor, probability: float, step: Step, *tensors: Tensor) -> tuple[Tensor, ...]:
        """ClassMix of all tensors by the classes of ``labels``; off during the warm-up where the authors have it so."""
        if probability == 0 or (self.config.classmix_after_warmup and step.iteration < self.warmup):
            return tensors
        rule, exclude = self.config.classmix_rule, self.config.classmix_exclude
        return paste(classmix_masks(labels, self.num_classes, step.draws, probability, rule, exclude), *tensors)
