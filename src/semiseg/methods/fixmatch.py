"""FixMatch for segmentation (Sohn et al., NeurIPS 2020; UniMatch's baseline, Yang et al., CVPR 2023)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from semiseg.augment.mixing import cutmix_masks, paste
from semiseg.config.section import Count, NotNegative, Probability, Section
from semiseg.data.base import IGNORE
from semiseg.losses import unlabelled_cross_entropy, valid_mean
from semiseg.methods.base import Method, Needs, Pseudo, Step, StepCost, Weights
from semiseg.methods.base.settings import UNIMATCH_VIEWS, teacher_of
from semiseg.networks import upsample
from semiseg.pseudo_labels import confidence_weights, pseudo_labels
from semiseg.runtime.distributed import mean


class FixMatchPseudo(Pseudo):
    views: Count = 1
    """Strong views of each crop (FixMatch: 1; UniMatch: 2)."""
    weighting: Literal["threshold", "confidence"] = "threshold"
    """A pixel counts fully above ``confidence_threshold`` and not at all below (FixMatch), or by confidence^s."""
    confidence_threshold: Probability = 0.95
    """τ, the least confidence of a pseudo-label (Sohn et al., section 2.1: 0.95)."""
    sharpness: NotNegative = 6.0
    """s of confidence^s (Alonso et al., section 4.2: 6)."""
    mix: Literal["cutmix", "classmix", "none"] = "cutmix"
    """What pastes one crop on the next in a strong view (UniMatch: CutMix)."""
    mix_probability: Probability = 0.5
    """Share of the crops that give something to the next (UniMatch: 0.5)."""

    READ_WITH = {
        "confidence_threshold": ("weighting", ("threshold",)),
        "sharpness": ("weighting", ("confidence",)),
        "mix_probability": ("mix", ("cutmix", "classmix")),
    }


class FixMatchSettings(Section):
    weights: Weights = Weights()
    pseudo: FixMatchPseudo = FixMatchPseudo()

    PAPER = UNIMATCH_VIEWS | teacher_of(0.996, ramp=True, buffers="ema")


class FixMatch(Method):
    """L = λ_sup L_sup + λ_pseudo · 1/(A·N) Σ_a Σ_n β_n · H(f_θ(strong_a(x_u)), ŷ_u)_n.

    The teacher labels the clean crop, flipped and resized only; the student sees the same crop with strong colours and
    mixed with its neighbour. β is 1 where the teacher's confidence is at least τ, else 0. N counts the pixels that are
    no padding, not the confident ones, so that the term grows with confidence. Labelled images are in X_u as well.

    Of the segmentation baseline (UniMatch V2's public code), replaced under ``method.profile=equal``: a teacher with
    τ = min(1 - 1/(i + 1), 0.996) and averaged statistics, no class weights, no warm-up, crops resized by 0.5 to 2, and
    strong colours with a wider jitter, grey pictures and blur.
    """

    settings = FixMatchSettings
    takes_bank = True
    needs = Needs(labelled_too=True, context=True)
    terms = ("supervised", "pseudo")
    watched = ("confident",)

    def losses(self, step: Step) -> dict[str, Tensor]:
        pseudo = self.options.pseudo
        view = self.labelled_view(step)
        x_l, y_l = view.images, view.labels
        x_u, inside = self.views.geometry(step)
        y_u, confidence = pseudo_labels(self.teacher_logits(x_u))
        y_u = y_u.where(inside, IGNORE)
        if pseudo.weighting == "threshold":
            beta = (confidence >= pseudo.confidence_threshold).to(confidence.dtype)
        else:
            beta = confidence_weights(confidence, pseudo.sharpness)

        views = [self.strong_view(step, x_u, y_u, beta) for _ in range(pseudo.views)]
        y_a, beta = torch.cat([view[1] for view in views]), torch.cat([view[2] for view in views])
        student = self.pass_student(x_l, *(view[0] for view in views))
        logits_l, logits_a = student.logits.tensor_split([len(x_l)])
        supervised = self.supervised(logits_l, y_l, step.iteration)
        loss_u = unlabelled_cross_entropy(upsample(logits_a, y_a.shape[-2:]), y_a, beta)
        loss = self.options.weights.supervised * supervised + self.pseudo_weight(step.iteration) * loss_u
        confident = mean(valid_mean(beta, y_a != IGNORE))
        terms = {"loss": loss, "supervised": supervised, "pseudo": loss_u, "confident": confident}
        return self.with_bank(step, view, student, y_a.where(beta > 0, IGNORE), terms)

    def strong_view(self, step: Step, images: Tensor, labels: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Strong colours, then the neighbour's rectangle or classes, of image, pseudo-label and weight together."""
        images = self.views.colour(step, images)
        probability = self.options.pseudo.mix_probability
        if self.options.pseudo.mix == "cutmix":
            height, width = images.shape[-2:]
            masks = cutmix_masks(len(images), height, width, step.draws, probability=probability).to(images.device)
            mixed = paste(masks, images, labels, beta)
        elif self.options.pseudo.mix == "classmix":
            mixed = self.views.mix(labels, probability, step, images, labels, beta)
        else:
            return images, labels, beta
        return mixed[0], mixed[1], mixed[2]

    def cost(self, labelled: int, unlabelled: int) -> StepCost:
        return StepCost((labelled, *[unlabelled] * self.options.pseudo.views), unlabelled)


METHOD = FixMatch
