"""AugSeg (Zhao et al., CVPR 2023): strong colours of any kind, and labelled rectangles for what the teacher doubts."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from semiseg.augment.mixing import cutmix_masks, paste
from semiseg.augment.random_intensity import random_intensity
from semiseg.config.section import Count, Probability, Section
from semiseg.data.base import IGNORE
from semiseg.losses import unlabelled_cross_entropy, valid_mean
from semiseg.methods.base import Method, Needs, Pseudo, Step, Weights
from semiseg.methods.base.settings import OWN_VIEWS, teacher_of
from semiseg.networks import upsample
from semiseg.pseudo_labels import pseudo_labels
from semiseg.runtime.distributed import mean


class AugSegPseudo(Pseudo):
    confidence_threshold: Probability = 0.95
    """τ, the least confidence of a pseudo-label (public code: 0.95 for VOC, none for Cityscapes)."""
    operations: Count = 3
    """Most operations on the colours of a crop; how many is uniform from 1 (Zhao et al.: 3)."""
    colours: Literal["random", "shared"] = "random"
    """Random operations (Zhao et al.), or the strong colours that all methods share, ``method.augment.strong``: so
    ``method.profile=equal`` has it."""
    labelled_rectangles: bool = True
    """Paste rectangles of labelled crops where the teacher is unsure (Zhao et al.)."""
    mix_probability: Probability = 1.0
    """Share of the crops that give a rectangle to the next, after that (not verified: 1)."""


class AugSegSettings(Section):
    weights: Weights = Weights()
    pseudo: AugSegPseudo = AugSegPseudo()

    PAPER = OWN_VIEWS | teacher_of(0.999, ramp=True, buffers="ema") | {"warmup": 0.0}
    EQUAL = {"pseudo.colours": "shared"}


class AugSeg(Method):
    """L = λ_sup L_sup + λ_pseudo · 1/N Σ_n β_n · H(f_θ(mix(intensity(x_u))), mix(ŷ_u))_n.

    Colours go through 1 to 3 random operations of random strength. With probability 1 - s_i, where s_i is the mean of
    p_max · (1 - H(p) / ln C) over a crop, a rectangle of a labelled crop and its labels is pasted on it; then every
    crop gives a rectangle to the next. β is 1 where the teacher is at least as confident as τ and on labelled pixels,
    which count unless they are ignored; N are the pixels with a label, sure or not.

    The sides of a rectangle are √(1 - b) of the crop's, b of Beta(8, 2) for labelled ones and of Beta(4, 4) for the
    others, and it lies inside of the crop. What b stands for, that the labelled crop keeps its own colours, and that
    every crop gives a rectangle could not be verified.

    Its paper's, replaced under ``method.profile=equal``: the random colours, by the strong ones that all methods share;
    a teacher with τ = min(1 - 1/(i + 1), 0.999) and averaged statistics (0.996 for Cityscapes), no class weights, no
    warm-up, labelled crops that keep their colours and are not mixed.
    """

    settings = AugSegSettings
    takes_bank = True
    needs = Needs(labelled_too=True, context=True)
    terms = ("supervised", "pseudo")
    watched = ("confident", "certainty")

    def losses(self, step: Step) -> dict[str, Tensor]:
        pseudo = self.options.pseudo
        view = self.labelled_view(step)
        x_l, y_l = view.images, view.labels
        x_u, inside = self.views.geometry(step)
        logits = self.teacher_logits(x_u)
        y_u, confidence = pseudo_labels(logits)
        beta = (confidence >= pseudo.confidence_threshold).to(confidence.dtype)
        confident, sure = mean(valid_mean(beta, inside)), certainty(logits, inside)

        if pseudo.colours == "random":
            x_a = random_intensity(x_u, inside, step.draws, pseudo.operations)
        else:
            x_a = self.views.colour(step, x_u)
        y_a = y_u.where(inside, IGNORE)
        if pseudo.labelled_rectangles:
            x_a, y_a, beta = self.with_labelled(step, sure, (x_l, y_l, torch.ones_like(y_l).to(beta)), (x_a, y_a, beta))
        masks = self.rectangles(step, x_a, 4, 4, pseudo.mix_probability)
        x_a, y_a, beta = paste(masks, x_a, y_a, beta)

        student = self.pass_student(x_l, x_a)
        logits_l, logits_a = student.logits.tensor_split([len(x_l)])
        supervised = self.supervised(logits_l, y_l, step.iteration)
        loss_u = unlabelled_cross_entropy(upsample(logits_a, y_a.shape[-2:]), y_a, beta)
        loss = self.options.weights.supervised * supervised + self.pseudo_weight(step.iteration) * loss_u
        terms = {"supervised": supervised, "pseudo": loss_u, "confident": confident, "certainty": sure.mean()}
        return self.with_bank(step, view, student, y_a.where(beta > 0, IGNORE), {"loss": loss} | terms)

    def with_labelled(
        self, step: Step, sure: Tensor, given: tuple[Tensor, ...], onto: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """A rectangle of a random labelled crop of ``given`` on crop i of ``onto``, with probability 1 - sure_i."""
        giver = torch.randint(len(given[0]), (len(sure),), generator=step.draws).to(sure.device)
        doubted = torch.rand(len(sure), generator=step.draws).to(sure.device) >= sure
        masks = self.rectangles(step, onto[0], 8, 2, 1.0) & doubted[:, None, None]
        return tuple(
            torch.where(masks if new.ndim == 3 else masks[:, None], new[giver], old)
            for new, old in zip(given, onto, strict=True)
        )

    def rectangles(self, step: Step, images: Tensor, a: int, b: int, probability: float) -> Tensor:
        """(B, H, W) bool: one rectangle an image, with its aspect, over 1 - Beta(a, b) of its area."""
        # Of a + b - 1 uniform numbers, the one in place a is of Beta(a, b).
        kept = torch.rand(len(images), a + b - 1, generator=step.draws).sort(dim=1).values[:, a - 1]
        (height, width), square = images.shape[-2:], (1.0, 1.0)
        masks = cutmix_masks(len(images), height, width, step.draws, 1 - kept, probability, square)
        return masks.to(images.device)


def certainty(logits: Tensor, inside: Tensor) -> Tensor:
    """p_max · (1 - H(p) / ln C), mean over the pixels of each crop that are no padding, (B,) in [0, 1].

    Args:
        logits: (B, C, H, W) float32 at least.
        inside: (B, H, W) bool; 0 for a crop of padding only.
    """
    log_p = logits.log_softmax(dim=1)
    p = log_p.exp()
    entropy = -(p * log_p).sum(dim=1) / math.log(max(logits.shape[1], 2))
    sure = p.amax(dim=1) * (1 - entropy)
    return (sure * inside).sum((1, 2)) / inside.sum((1, 2)).clamp_min(1)


METHOD = AugSeg
