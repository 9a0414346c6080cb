"""AEL, adaptive equalisation learning (Hu et al., NeurIPS 2021): classes that are recognised badly are seen more."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from semiseg.augment.class_boxes import class_box_masks
from semiseg.augment.weak_strong import augment
from semiseg.config.read import Config
from semiseg.config.section import Count, NotNegative, Probability, Section
from semiseg.data.base import IGNORE
from semiseg.losses import valid_mean, weighted_cross_entropy
from semiseg.methods.base import LabelledView, Method, Needs, Pseudo, Step, Weights, probabilities
from semiseg.methods.base.settings import OWN_VIEWS, teacher_of
from semiseg.methods.base.views import NOTHING
from semiseg.networks import SegmentationNetwork, upsample
from semiseg.pseudo_labels import confidence_weights, pseudo_labels
from semiseg.runtime.distributed import mean, total

PASTED = replace(NOTHING, resize=1.0, resize_range=(0.1, 2.0))
"""How a labelled crop is scaled that gives classes to another (public code: by 0.1 to 2)."""


class AELPseudo(Pseudo):
    momentum: Probability = 0.999
    """How slowly the confidence of a class follows (public code: 0.999)."""
    classes: Count = 3
    """Classes that are drawn for each labelled crop, the less sure the sooner, to be pasted on it (public code: 3)."""
    paste_probability: Probability = 0.5
    """Share of the labelled crops that something is pasted on (public code: 0.5)."""
    least_share: Probability = 0.01
    """Share of a crop that a class covers for the crop to give it to another (public code: 1 %, for VOC 3 %)."""
    least_part: Probability = 0.005
    """Share of the crop that a connected part covers whose bounding box is cut (public code: 0.5 %, for VOC 3 %)."""
    sampling: NotNegative = 1.0
    """α: of class c a pixel counts with the probability ((1 - conf_c) / max_j (1 - conf_j))^α (public code: 1)."""
    sharpness: NotNegative = 2.0
    """γ: it weighs its confidence^γ (public code: 2)."""


class AELSettings(Section):
    weights: Weights = Weights()
    pseudo: AELPseudo = AELPseudo()

    PAPER = OWN_VIEWS | teacher_of(0.99, batch_statistics=True) | {"warmup": 0.0}


class AEL(Method):
    """L = λ_sup L_sup + λ_pseudo · Σ_n w_n H(f_θ(mix(x_u)), mix(ŷ_u))_n / Σ_n w_n, w_n = s_n · confidence_n^γ.

    conf_c, the average of the probability that the student gives to pixels labelled c, says how well a class is
    recognised. Labelled crops get classes of another one, scaled, drawn by softmax(√(1 - conf)); unlabelled ones the
    box around a connected part of a class drawn by softmax(1 - conf). s_n draws pixels, fewer of sure classes. No
    class is left out by its number, as 0, 1, 2, 8 and 10 are in the public code on any data.

    Otherwise than there: a class that is absent keeps its confidence, where it is drawn to 0, and begins with its first
    one, not at random; classes never seen in a label are not drawn, and all of their pixels count. Boxes and pasted
    classes come from the crops of the step, not from a bank of all images: with few crops a rare class is seldom among
    them, and then half of a random crop is pasted. s_n goes by the pseudo-label, not the student's prediction. X_u
    holds the labelled images too, in place of the term on labelled crops. There is no OHEM, and no auxiliary head.

    Its public code's, replaced under ``method.profile=equal``: a teacher with τ = 0.99 on the statistics of its batch,
    no class weights, no warm-up, labelled crops that keep their colours and get no classes but those of ``copy_paste``.
    """

    settings = AELSettings
    takes_bank = True
    needs = Needs(labelled_too=True, context=True)
    terms = ("supervised", "pseudo")
    watched = ("counted", "least_sure")
    confidence: Tensor
    seen: Tensor

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        super().__init__(config, student, labelled)
        self.register_buffer("confidence", torch.zeros(self.num_classes))
        self.register_buffer("seen", torch.zeros(self.num_classes, dtype=torch.bool))

    def losses(self, step: Step) -> dict[str, Tensor]:
        pseudo = self.options.pseudo
        view = LabelledView(*self.copy_paste(step, *self.labelled_view(step)))
        x_l, y_l = view.images, view.labels
        x_u, inside = self.views.geometry(step)
        y_u, confidence = pseudo_labels(self.teacher_logits(x_u))
        x_a, y_a, confidence = self.cut_class(step, x_u, y_u.where(inside, IGNORE), confidence)

        student = self.pass_student(x_l, x_a)
        logits_l, logits_a = student.logits.tensor_split([len(x_l)])
        supervised = self.supervised(logits_l, y_l, step.iteration)
        self.follow(probabilities(logits_l.detach(), y_l.shape[-2:]), y_l)
        shown = y_a != IGNORE
        rate = self.rates()[y_a.where(shown, 0)]
        counted = shown & (torch.rand(y_a.shape, generator=step.draws).to(rate) < rate)
        weights = confidence_weights(confidence, pseudo.sharpness) * counted
        loss_u = weighted_cross_entropy(upsample(logits_a, y_a.shape[-2:]), y_a, None, weights, IGNORE)
        loss_u = loss_u / mean(weights.mean()).clamp_min(1e-12)
        loss = self.options.weights.supervised * supervised + self.pseudo_weight(step.iteration) * loss_u
        least_sure = self.confidence.where(self.seen, 1.0).amin()
        watched = {"counted": mean(valid_mean(counted, shown)), "least_sure": least_sure}
        terms = {"loss": loss, "supervised": supervised, "pseudo": loss_u} | watched
        return self.with_bank(step, view, student, y_a.where(counted, IGNORE), terms)

    @torch.no_grad()
    def follow(self, p: Tensor, labels: Tensor) -> None:
        """Average the probability p (B, C, H, W) of its label (B, H, W) over the pixels of each class."""
        bins = labels.where(labels != IGNORE, self.num_classes).flatten()
        own = p.gather(1, labels.where(labels != IGNORE, 0)[:, None]).flatten()
        sums = own.new_zeros(2, self.num_classes + 1)
        sums[0].index_add_(0, bins, own)
        sums[1].index_add_(0, bins, torch.ones_like(own))
        found, count = total(sums)[:, :-1].to(self.confidence)
        now = found / count.clamp_min(1)
        followed = torch.where(self.seen, self.confidence.lerp(now, 1 - self.options.pseudo.momentum), now)
        self.confidence.copy_(torch.where(count > 0, followed, self.confidence))
        self.seen.logical_or_(count > 0)

    def rates(self) -> Tensor:
        """(C,) with which probability a pixel of each class counts."""
        doubt = (1 - self.confidence).clamp_min(0)
        most = doubt.where(self.seen, 0.0).amax().clamp_min(1e-12)
        return (doubt / most).clamp_max(1.0) ** self.options.pseudo.sampling  # 1 where nothing is known

    def classes(self, step: Step, power: float, *shape: int) -> Tensor:
        """Random classes of a shape, by softmax((1 - conf)^power) over those seen, or over all at first."""
        doubt = ((1 - self.confidence).clamp_min(0) ** power).masked_fill(~self.seen & self.seen.any(), -torch.inf)
        chances = doubt.softmax(dim=0).cumsum(dim=0)
        uniform = torch.rand(shape, generator=step.draws).to(chances) * chances[-1]
        return torch.searchsorted(chances, uniform, right=True).clamp_max(self.num_classes - 1)

    def copy_paste(self, step: Step, images: Tensor, labels: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Classes of the crop before, scaled, on labelled crops; ``target`` are the labels of the target's pixels."""
        of_source = (labels != target).to(images.dtype)
        given, given_labels, foreign = augment(
            images.roll(1, 0), labels.roll(1, 0), of_source.roll(1, 0), PASTED, step.draws
        )
        assert foreign is not None
        classes = self.classes(step, 0.5, len(labels), self.options.pseudo.classes)
        drawn = torch.rand(len(labels), 1, 1, generator=step.draws) < self.options.pseudo.paste_probability
        masks = (given_labels[:, None] == classes[:, :, None, None]).any(dim=1) & drawn.to(labels.device)
        pasted = torch.where(masks, given_labels, labels)
        target = pasted.where(torch.where(masks, foreign, of_source) < 0.5, IGNORE)
        return torch.where(masks[:, None], given, images), pasted, target

    def cut_class(self, step: Step, images: Tensor, labels: Tensor, confidence: Tensor) -> tuple[Tensor, ...]:
        """On each crop the box of a drawn class in one that shows it: image, pseudo-label and confidence together."""
        classes = self.classes(step, 1.0, len(labels))
        shares = torch.stack([(labels == c).float().mean(dim=(1, 2)) for c in classes])  # receivers, givers
        shows = shares >= self.options.pseudo.least_share
        giver = (torch.rand(shares.shape, generator=step.draws).to(shares) + shows).argmax(dim=1)
        masks = class_box_masks(labels[giver], classes, step.draws, self.options.pseudo.least_part)
        return tuple(
            torch.where(masks if values.ndim == 3 else masks[:, None], values[giver], values)
            for values in (images, labels, confidence)
        )


METHOD = AEL
