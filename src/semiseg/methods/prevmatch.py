"""PrevMatch (Shin et al., WACV 2026): UniMatch, guided by what the student was earlier in the run as well."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from semiseg.config.read import Config
from semiseg.config.section import Count, Probability, Section
from semiseg.data.base import IGNORE
from semiseg.losses import unlabelled_cross_entropy, valid_mean
from semiseg.methods.base import Step, StepCost
from semiseg.methods.unimatch import UniMatch, UniMatchSettings, labelled
from semiseg.networks import SegmentationNetwork
from semiseg.networks.snapshots import Snapshots
from semiseg.pseudo_labels import pseudo_labels
from semiseg.runtime.distributed import mean


class Previous(Section):
    """Earlier students, and how much their labels count."""

    snapshots: Count = 8
    """Earlier students that are kept (public code: 8; 5 for ADE20K and COCO), each a whole network in memory."""
    every: Annotated[float, Field(gt=0, le=1)] = 1 / 80
    """Share of the iterations after which the student is kept: an epoch of the 80 that the public code trains on VOC.
    It keeps the student when validation is better than ever, which lets the validation set train."""
    most: Count = 3
    """Earlier students that label a step, at most; how many is uniform from 1 (public code: 3)."""
    weighting: Literal["threshold", "average"] = "threshold"
    """A pixel counts above ``confidence_threshold`` (VOC), or each by its crop's mean confidence (Cityscapes)."""
    confidence_threshold: Probability = 0.9
    """The least confidence of an earlier student's label (public code: 0.9 for VOC)."""


class PrevMatchSettings(UniMatchSettings):
    previous: Previous = Previous()


class PrevMatch(UniMatch):
    """L = (λ_sup L_sup + λ_pseudo (L_u + ρ L_prev)) / (λ_sup + λ_pseudo (1 + ρ)).

    L_u is that of UniMatch. L_prev is the same loss on the same views with other labels: the logits of 1 to 3 of the
    last 8 kept students, weighted at random, on the weak view. ρ rises linearly from 0 to 1 at half-time and falls back
    to 0, and is 0 as long as none is kept. In memory and in every checkpoint lie 8 further copies of the student; a
    step passes one to three of them forwards, whose FLOPs ``semiseg cost`` leaves out.

    Not as in the public code: students are kept by the number of steps and not by their validation. The weight of
    ``average`` is a crop's own, over its pixels that are no padding; there it is summed over the batch, so that the
    loss grows with the batch, and padding counts. What UniMatch says holds here too.
    """

    settings = PrevMatchSettings
    terms = ("supervised", "strong", "features", "previous")
    watched = ("confident", "confident_previous")

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        super().__init__(config, student, labelled)
        self.snapshots = Snapshots(student, self.options.previous.snapshots)

    def losses(self, step: Step) -> dict[str, Tensor]:
        pseudo, weights = self.options.pseudo, self.options.weights
        view = self.labelled_view(step)
        x_u, inside = self.views.geometry(step)
        weak, perturbed = self.decoded_twice(step, x_u)
        y_u, beta = labelled(weak.logits, inside, pseudo.confidence_threshold)
        y_p, sure = self.earlier_labels(step, x_u, inside)
        student, logits_s, mixed = self.on_views(step, view.images, x_u, y_u, beta, y_p, sure)
        y_s, beta_s, y_ps, sure_s = mixed

        supervised = self.supervised(student.logits[: len(view.images)], view.labels, step.iteration)
        strong = unlabelled_cross_entropy(logits_s, y_s, beta_s)
        features = unlabelled_cross_entropy(perturbed, y_u, beta)
        beta_p = self.earlier_weights(y_p, sure)
        previous = pseudo.strong * unlabelled_cross_entropy(logits_s, y_ps, self.earlier_weights(y_ps, sure_s))
        previous = previous + pseudo.features * unlabelled_cross_entropy(perturbed, y_p, beta_p)
        ramp, share = self.ramp(step.iteration), self.pseudo_weight(step.iteration)
        unlabelled = pseudo.strong * strong + pseudo.features * features + ramp * previous
        loss = weights.supervised * supervised + share * unlabelled
        terms = {
            "loss": loss / max(weights.supervised + share * (1 + ramp), 1e-12),
            "supervised": supervised,
            "strong": strong,
            "features": features,
            "previous": previous,
            "confident": mean(valid_mean(beta, inside)),
            "confident_previous": mean(valid_mean(beta_p, inside)),
        }
        return self.with_bank(step, view, student, y_s.where(beta_s > 0, IGNORE), terms)

    def ramp(self, iteration: int) -> float:
        """ρ at an iteration."""
        done = iteration / self.iterations
        return min(2 * done, 2 * (1 - done)) if len(self.snapshots) else 0.0

    def earlier_labels(self, step: Step, images: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (B, H, W) of a mixture of earlier students, 255 on padding, and their confidence; before there are
        any, 255 throughout."""
        if not len(self.snapshots):
            return torch.full_like(inside, IGNORE, dtype=torch.int64), torch.zeros_like(inside, dtype=images.dtype)
        labels, confidence = pseudo_labels(self.snapshots(images, step.draws, self.options.previous.most))
        return labels.where(inside, IGNORE), confidence

    def earlier_weights(self, labels: Tensor, confidence: Tensor) -> Tensor:
        """β of an earlier student's labels, (B, H, W)."""
        if self.options.previous.weighting == "threshold":
            return (confidence >= self.options.previous.confidence_threshold).to(confidence.dtype)
        shown = labels != IGNORE
        average = (confidence * shown).sum((1, 2)) / shown.sum((1, 2)).clamp_min(1)
        return average[:, None, None].expand_as(confidence)

    @torch.no_grad()
    def after_step(self, step: Step) -> None:
        """Keep the student, each time that a share of the iterations has passed."""
        super().after_step(step)
        if (step.iteration + 1) % max(1, round(self.options.previous.every * self.iterations)) == 0:
            self.snapshots.store(self.student)

    def cost(self, labelled: int, unlabelled: int) -> StepCost:
        return super().cost(labelled, unlabelled)._replace(modules={"snapshots": self.snapshots})


METHOD = PrevMatch
