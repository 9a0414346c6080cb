"""ClassMix (Olsson et al., WACV 2021): pseudo-labels of mixed images, weighted by the confident share."""

from __future__ import annotations

import torch
from torch import Tensor

from semiseg.augment.mixing import classmix_masks, paste
from semiseg.augment.weak_strong import augment
from semiseg.data.base import IGNORE
from semiseg.losses import weighted_cross_entropy
from semiseg.methods.base import Batch, Method, colour_only, geometry_only
from semiseg.networks.segmentation import upsample
from semiseg.pseudo_labels import pseudo_labels
from semiseg.runtime.distributed import mean
from semiseg.runtime.precision import at_least_single

CONFIDENT = 0.968  # Olsson et al., section 3.3


class ClassMix(Method):
    """L = L_sup + λ_pseudo · r · H(f_θ(colour(mix(x_u))), mix(ŷ_u)).

    Half of the classes of each image are pasted on the next; strong colour jitter and blur follow. r is the share of
    pixels whose teacher confidence is above 0.968.
    """

    def step(
        self, labelled: Batch, unlabelled: Batch | None, iteration: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        assert unlabelled is not None
        images, labels, _ = self.weak_view(labelled, iteration, generator)
        self.counts.update(labels)
        inside = unlabelled.without_padding(torch.zeros_like(unlabelled.labels))
        seen, known, _ = augment(unlabelled.images, inside, None, geometry_only(self.strong), generator)
        with torch.no_grad():
            target, confidence = pseudo_labels(at_least_single(upsample(self.teacher(seen).logits, seen.shape[-2:])))
        target = target.where(known != IGNORE, IGNORE)  # not on padding, nor on the border that a reduced image leaves
        masks = classmix_masks(target, self.num_classes, generator)
        mixed, target, confidence = paste(masks, seen, target, confidence)
        mixed, _, _ = augment(mixed, target, None, colour_only(self.strong), generator)

        logits = self.pass_student(images, mixed).logits
        supervised = self.supervised(logits[: len(images)], labels, iteration)
        threshold = self.config.pseudo.confidence_threshold
        confident = mean((confidence > (CONFIDENT if threshold is None else threshold)).float().mean())
        cross_entropy = weighted_cross_entropy(
            upsample(logits[len(images) :], mixed.shape[-2:]), target, ignore_index=IGNORE
        )
        pseudo = cross_entropy * confident
        weight = self.config.weights.pseudo * self.warmup_factor(iteration)
        loss = self.config.weights.supervised * supervised + weight * pseudo
        return {"loss": loss, "supervised": supervised, "pseudo": pseudo, "confident": confident}
