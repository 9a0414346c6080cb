"""The paper's method, section 3, as one step: supervision, pseudo-labels, entropy and the contrastive module."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.augment.weak_strong import augment
from semiseg.config.read import Config
from semiseg.contrastive import ContrastiveModule, rows
from semiseg.losses import entropy, weighted_cross_entropy
from semiseg.memory_bank import bank_similarity
from semiseg.methods.base import IGNORE, Batch, Method
from semiseg.networks import SegmentationNetwork
from semiseg.networks.segmentation import upsample
from semiseg.pseudo_labels import confidence_weights, pseudo_labels
from semiseg.runtime.precision import at_least_single

COMPARED = 4096  # vectors compared with the bank at a time: bounds the table of similarities


class MemoryBankMethod(Method):
    """Alonso et al., ICCV 2021: eq. 1 with all four terms; see :meth:`step`."""

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        super().__init__(config, student, labelled)
        self.contrast = ContrastiveModule(
            self.config.contrastive, student.feature_dim, self.num_classes, labelled, config.training.batch_size
        )

    def step(
        self, labelled: Batch, unlabelled: Batch | None, iteration: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Eq. 1: L = λ_sup L_sup + λ_pseudo L_pseudo + λ_ent L_ent + λ_contr L_contr."""
        assert unlabelled is not None
        weights, loss = self.config.weights, self.config.loss
        warm = iteration < self.warmup

        x_l, y_l, y_target = self.weak_view(labelled, iteration, generator)
        with torch.no_grad():
            teacher = self.teacher(torch.cat([x_l, unlabelled.images]))
            teacher_l = type(teacher)(*(part[: len(x_l)] for part in teacher))
            logits_u = upsample(teacher.logits[len(x_l) :], unlabelled.images.shape[-2:])
            y_u, confidence = pseudo_labels(at_least_single(logits_u))  # eq. 5, on the un-augmented crop
            y_u = unlabelled.without_padding(y_u)
        self.counts.update(y_l)
        if not warm:  # before that the pseudo-labels are noise
            self.counts.update(y_u)
        alpha = self.class_weights(iteration)

        views = [
            self.strong_view(unlabelled.images, y_u, confidence, iteration, generator)
            for _ in range(self.config.pseudo.views)
        ]
        y_a = torch.cat([view[1] for view in views])
        beta = confidence_weights(torch.cat([view[2] for view in views]), self.config.pseudo.sharpness)

        student = self.pass_student(x_l, *(view[0] for view in views))
        logits_a = upsample(student.logits[len(x_l) :], y_a.shape[-2:])
        supervised = self.supervised(student.logits[: len(x_l)], y_l, iteration)  # eq. 4
        # The A views have one size, so the mean over all of them is 1/A of the sum of eqs. 6 and 7.
        pseudo = weighted_cross_entropy(logits_a, y_a, alpha, beta, IGNORE)
        valid = (y_a != IGNORE) if loss.entropy_valid_only else None
        spread = entropy(logits_a, valid, loss.entropy_base, across_processes=True)

        zero = supervised.new_zeros(())
        contrastive = zero
        if weights.contrastive > 0:
            student_l = type(student)(*(part[: len(x_l)].detach() for part in student))
            if iteration >= self.warmup * self.config.contrastive.bank_start:
                source = teacher_l if self.config.contrastive.teacher_features else student_l
                self.contrast.fill_bank(source, y_target, generator)
            if not warm:
                contrastive = self.contrast.loss(student.features, torch.cat([y_l, y_a]), len(x_l))

        total = (
            weights.supervised * supervised
            + weights.pseudo * self.warmup_factor(iteration) * pseudo
            + weights.entropy * spread
            + (zero if warm else weights.contrastive * contrastive)
        )
        return {
            "loss": total,
            "supervised": supervised,
            "pseudo": pseudo,
            "entropy": spread,
            "contrastive": contrastive,
            "confidence": confidence.mean(),
            "bank_filled": self.contrast.bank.counts.sum() / (self.num_classes * self.contrast.bank.size),
        }

    def measures(self) -> dict[str, float | None]:
        """``bank_within`` and ``bank_between``, see :func:`semiseg.memory_bank.bank_similarity`."""
        bank = self.contrast.bank
        within, between = bank_similarity(bank.vectors, bank.labels, bank.num_classes)
        return {"bank_within": within, "bank_between": between}

    @torch.no_grad()
    def distance(self, features: Tensor, height: int) -> Tensor | None:
        """Cosine distance of g_ξ of every feature, at stride 8, to the nearest vector of the bank; None while empty."""
        if not int(self.contrast.bank.counts.sum()):
            return None
        vectors = at_least_single(rows(self.contrast.at_stride(features, height)))
        z = F.normalize(self.contrast.teacher_projection(vectors), dim=1)
        bank = F.normalize(self.contrast.bank.vectors, dim=1)
        return 1 - torch.cat([(part @ bank.T).amax(dim=1) for part in torch.split(z, COMPARED)])

    def strong_view(
        self, images: Tensor, labels: Tensor, confidence: Tensor, iteration: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x_u^a of eq. 6: strong augmentation, then ClassMix, of image, pseudo-label and confidence together."""
        images, labels, moved = augment(images, labels, confidence, self.strong, generator)
        assert moved is not None
        mixed = self.mix(labels, self.strong.classmix, iteration, generator, images, labels, moved)
        return mixed[0], mixed[1], mixed[2]

    def teacher_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """f_ξ, g_ξ and S_ξ follow f_θ, g_θ and S_θ (eq. 2)."""
        contrast = self._modules.get("contrast")  # train() runs once before it exists
        heads = contrast.teacher_pairs() if isinstance(contrast, ContrastiveModule) else []
        return [*super().teacher_pairs(), *heads]

    def trainable_parameters(self) -> dict[str, list[nn.Parameter]]:
        groups = super().trainable_parameters()
        groups["heads"] = [p for p in self.contrast.parameters() if p.requires_grad]
        return groups
