"""CutMix consistency (French et al., BMVC 2020): the student must agree with mixed teacher predictions."""

from __future__ import annotations

import torch
from torch import Tensor

from semiseg.augment.mixing import cutmix_masks, paste
from semiseg.augment.weak_strong import augment
from semiseg.methods.base import Batch, Method, consistency, geometry_only
from semiseg.networks.segmentation import upsample
from semiseg.runtime.distributed import mean
from semiseg.runtime.precision import at_least_single

CONFIDENT = 0.97  # French et al., section 4


class CutMix(Method):
    """L = L_sup + λ_pseudo · r · ‖softmax f_θ(mix(x_u)) - mix(softmax f_ξ(x_u))‖².

    One rectangle of half the area an image; r is the share of pixels whose mixed teacher confidence is above 0.97.
    """

    def step(
        self, labelled: Batch, unlabelled: Batch | None, iteration: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        assert unlabelled is not None
        images, labels, _ = self.weak_view(labelled, iteration, generator)
        self.counts.update(labels)
        seen, _, _ = augment(unlabelled.images, unlabelled.labels, None, geometry_only(self.strong), generator)
        masks = cutmix_masks(len(seen), seen.shape[-2], seen.shape[-1], generator).to(seen.device)
        mixed, target = paste(masks, seen, self.teacher_probabilities(seen))

        logits = self.pass_student(images, mixed).logits
        supervised = self.supervised(logits[: len(images)], labels, iteration)
        prediction = at_least_single(upsample(logits[len(images) :], mixed.shape[-2:])).softmax(dim=1)
        threshold = self.config.pseudo.confidence_threshold
        confident = mean((target.amax(dim=1) > (CONFIDENT if threshold is None else threshold)).float().mean())
        pseudo = consistency(prediction, target) * confident
        weight = self.config.weights.pseudo * self.warmup_factor(iteration)
        loss = self.config.weights.supervised * supervised + weight * pseudo
        return {"loss": loss, "supervised": supervised, "pseudo": pseudo, "confident": confident}
