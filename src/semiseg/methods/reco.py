"""ReCo (Liu et al., ICLR 2022): mixed pseudo-labels, and hard pixels told from the classes that resemble theirs."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from semiseg.augment.mixing import cutmix_masks, paste
from semiseg.config.section import Count, Positive, Probability, Section
from semiseg.contrastive.maps import downsample_labels, rows
from semiseg.data.base import IGNORE
from semiseg.losses import regional_contrast, unlabelled_cross_entropy, valid_mean
from semiseg.methods.base import Needs, Projected, Pseudo, Step
from semiseg.methods.base.settings import OWN_VIEWS, ContrastWeights, teacher_of
from semiseg.networks import Output, upsample
from semiseg.pseudo_labels import pseudo_labels
from semiseg.runtime.distributed import mean
from semiseg.runtime.precision import at_least_single


class ReCoPseudo(Pseudo):
    confidence_threshold: Probability = 0.97
    """δ_s: the share of an image's pixels whose confidence is at least this weighs its pseudo-labels; a pixel to whose
    class the student gives less is hard (public code: 0.97)."""
    mix: Literal["classmix", "cutmix"] = "classmix"
    """What pastes one crop on the next (the paper compares both, and CutOut)."""


class ReCoContrast(Section):
    dim: Count = 256
    """Width of the vectors (public code)."""
    least_confidence: Probability = 0.7
    """δ_w: pixels whose pseudo-label is less sure take no part (public code: 0.7)."""
    queries: Count = 256
    """Hard pixels of each class and step, in each process (public code: 256)."""
    keys: Count = 512
    """Keys of other classes that each of them is told from (public code: 512)."""
    temperature: Positive = 0.5
    """T of the loss and of the likeness of classes (public code: 0.5)."""


class ReCoSettings(Section):
    weights: ContrastWeights = ContrastWeights()
    pseudo: ReCoPseudo = ReCoPseudo()
    contrastive: ReCoContrast = ReCoContrast()

    PAPER = OWN_VIEWS | teacher_of(0.99, batch_statistics=True) | {"warmup": 0.0}


class ReCo(Projected):
    """L = λ_sup L_sup + λ_pseudo · 1/N Σ_i η_i Σ_n H(f_θ(colour(mix(x_u))), mix(ŷ_u))_n + λ_contr L_reco.

    η_i is the share of the pixels of image i that are surer than δ_s. L_reco (:func:`regional_contrast`) takes labelled
    pixels and those of unlabelled views that are surer than δ_w; hard ones are queries, told from keys of the classes
    that resemble theirs most.

    Otherwise than in the paper: the head is the one of the memory bank, of 1×1 convolutions; queries are drawn without
    replacement, keys from at most as many vectors of a class as a query has; N counts all pixels but padding, where the
    public code leaves out those whose loss is 0; pseudo-labels and L_reco rest during ``method.warmup``. The defaults
    were read in the public code (lorenmt/reco), not in the paper.

    The public code's, replaced under ``method.profile=equal``: a teacher with τ = 0.99 on the statistics of its batch,
    no class weights, no warm-up, labelled crops that keep their colours and are not mixed.
    """

    settings = ReCoSettings
    takes_bank = True
    needs = Needs(context=True)
    terms = ("supervised", "pseudo", "contrastive")
    watched = ("confident",)

    def losses(self, step: Step) -> dict[str, Tensor]:
        weights = self.options.weights
        view = self.labelled_view(step)
        x_l, y_l = view.images, view.labels
        x_u, inside = self.views.geometry(step)
        y_u, confidence = pseudo_labels(self.teacher_logits(x_u))
        x_a, y_a, confidence = self.mixed(step, x_u, y_u.where(inside, IGNORE), confidence)
        x_a = self.views.colour(step, x_a)

        student = self.pass_student(x_l, x_a)
        supervised = self.supervised(student.logits[: len(x_l)], y_l, step.iteration)
        seen = y_a != IGNORE
        confident = seen & (confidence >= self.options.pseudo.confidence_threshold)
        eta = confident.float().sum(dim=(1, 2)) / seen.sum(dim=(1, 2)).clamp_min(1)
        logits_a = upsample(student.logits[len(x_l) :], y_a.shape[-2:])
        pseudo = unlabelled_cross_entropy(logits_a, y_a, eta[:, None, None].expand(y_a.shape))
        sure = y_a.where(confidence >= self.options.contrastive.least_confidence, IGNORE)
        contrastive = self.contrastive(student, torch.cat([y_l, sure]), step)
        loss = weights.supervised * supervised + self.pseudo_weight(step.iteration) * pseudo
        terms = {
            "loss": loss + weights.contrastive * contrastive,
            "supervised": supervised,
            "pseudo": pseudo,
            "contrastive": contrastive,
            "confident": mean(valid_mean(confident, seen)),
        }
        return self.with_bank(step, view, student, sure, terms)

    def mixed(self, step: Step, images: Tensor, labels: Tensor, confidence: Tensor) -> tuple[Tensor, ...]:
        """Every crop with classes, or a rectangle, of its neighbour: image, pseudo-label and confidence together."""
        if self.options.pseudo.mix == "classmix":
            return self.views.mix(labels, 1.0, step, images, labels, confidence)
        masks = cutmix_masks(len(images), images.shape[-2], images.shape[-1], step.draws).to(images.device)
        return paste(masks, images, labels, confidence)

    def contrastive(self, student: Output, labels: Tensor, step: Step) -> Tensor:
        """L_reco of labelled and unlabelled views by their labels (B, H, W), 255 where a pixel takes no part."""
        options = self.options.contrastive
        if not self.contrasts(step.iteration):
            return student.logits.new_zeros(())
        flat = downsample_labels(labels, student.features.shape[-2:]).flatten()
        valid = flat != IGNORE
        p = at_least_single(rows(student.logits.detach())).softmax(dim=1)
        hard = p.gather(1, flat.where(valid, 0)[:, None])[:, 0] < self.options.pseudo.confidence_threshold
        return regional_contrast(
            self.vectors(student.features, valid), flat, hard, self.num_classes, step.draws,
            options.queries, options.keys, options.temperature,
        )  # fmt: skip


METHOD = ReCo
