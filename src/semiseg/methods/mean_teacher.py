"""Mean Teacher (Tarvainen and Valpola, 2017) for segmentation: consistency under colour perturbation."""

from __future__ import annotations

import torch
from torch import Tensor

from semiseg.augment.weak_strong import augment
from semiseg.methods.base import Batch, Method, colour_only, consistency, geometry_only
from semiseg.networks.segmentation import upsample
from semiseg.runtime.precision import at_least_single


class MeanTeacher(Method):
    """L = L_sup + λ_pseudo · ‖softmax f_θ(colour(x_u)) - softmax f_ξ(x_u)‖².

    Both see the same geometry; only the student sees the strong colour jitter and blur of Table 1. λ rises with the
    paper's exp(-5(1 - t)²) over the warm-up when ``method.pseudo.warmup`` is ``ramp``.
    """

    def step(
        self, labelled: Batch, unlabelled: Batch | None, iteration: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        assert unlabelled is not None
        images, labels, _ = self.weak_view(labelled, iteration, generator)
        self.counts.update(labels)
        seen, _, _ = augment(unlabelled.images, unlabelled.labels, None, geometry_only(self.strong), generator)
        target = self.teacher_probabilities(seen)
        perturbed, _, _ = augment(seen, unlabelled.labels, None, colour_only(self.strong), generator)

        logits = self.pass_student(images, perturbed).logits
        supervised = self.supervised(logits[: len(images)], labels, iteration)
        prediction = at_least_single(upsample(logits[len(images) :], perturbed.shape[-2:])).softmax(dim=1)
        pseudo = consistency(prediction, target)
        weight = self.config.weights.pseudo * self.warmup_factor(iteration)
        loss = self.config.weights.supervised * supervised + weight * pseudo
        return {"loss": loss, "supervised": supervised, "pseudo": pseudo}
