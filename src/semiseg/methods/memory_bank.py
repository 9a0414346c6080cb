"""The paper's method, section 3, as one step: supervision, pseudo-labels, entropy and the contrastive module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from semiseg.config.read import Config
from semiseg.config.section import Section
from semiseg.contrastive import ContrastiveConfig, ContrastiveModule
from semiseg.contrastive.cost import contrastive_flops, contrastive_kept
from semiseg.data.base import IGNORE
from semiseg.losses import entropy, weighted_cross_entropy
from semiseg.memory_bank import MemoryBank
from semiseg.methods.base import Method, ParameterGroup, Step, StepCost, StoredVectors
from semiseg.methods.base.cost import with_entropy
from semiseg.methods.base.settings import EntropyLoss, FourWeights, WeightedPseudo
from semiseg.networks import Output, SegmentationNetwork, upsample
from semiseg.pseudo_labels import confidence_weights, pseudo_labels
from semiseg.runtime.precision import at_least_single


class MemoryBankSettings(Section):
    weights: FourWeights = FourWeights()
    pseudo: WeightedPseudo = WeightedPseudo()
    contrastive: ContrastiveConfig = ContrastiveConfig()
    loss: EntropyLoss = EntropyLoss()

    REFERENCE = {
        "pseudo.warmup": "ramp",
        "loss.entropy_base": "classes",
        "loss.entropy_valid_only": True,
        **{f"contrastive.{key}": value for key, value in ContrastiveConfig.REFERENCE.items()},
    }


class MemoryBankMethod(Method):
    """Alonso et al., ICCV 2021: eq. 1, L = λ_sup L_sup + λ_pseudo L_pseudo + λ_ent L_ent + λ_contr L_contr."""

    settings = MemoryBankSettings
    terms = ("supervised", "pseudo", "entropy", "contrastive")
    watched = ("confidence", "bank_filled")
    measured = ContrastiveModule.MEASURED

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        super().__init__(config, student, labelled)
        self.contrast = ContrastiveModule(
            self.options.contrastive, student.feature_dim, self.num_classes, labelled, config.training.batch_size
        )

    def losses(self, step: Step) -> dict[str, Tensor]:
        i, x_u, weights = step.iteration, step.x_u, self.options.weights
        x_l, y_l, y_target = self.labelled_view(step)
        with torch.no_grad():
            assert self.teacher is not None
            teacher = self.teacher(torch.cat([x_l, x_u.images]))
            logits_u = upsample(teacher.logits[len(x_l) :], x_u.images.shape[-2:])
            y_u, confidence = pseudo_labels(at_least_single(logits_u))  # eq. 5, on the un-augmented crop
            y_u = x_u.without_padding(y_u)
        if i >= self.warmup:  # before that the pseudo-labels are noise
            self.counts.update(y_u)
        alpha = self.class_weights(i)

        views = [self.views.strong(step, x_u.images, y_u, confidence) for _ in range(self.options.pseudo.views)]
        y_a = torch.cat([view[1] for view in views])
        beta = confidence_weights(torch.cat([view[2] for view in views]), self.options.pseudo.sharpness)

        student = self.pass_student(x_l, *(view[0] for view in views))
        logits_a = upsample(student.logits[len(x_l) :], y_a.shape[-2:])
        supervised = self.supervised(student.logits[: len(x_l)], y_l, i)  # eq. 4
        # The A views have one size, so the mean over all of them is 1/A of the sum of eqs. 6 and 7.
        pseudo = weighted_cross_entropy(logits_a, y_a, alpha, beta, IGNORE)
        divisor: Literal["valid", "pixels"] = "valid" if self.options.loss.entropy_valid_only else "pixels"
        spread = entropy(logits_a, y_a != IGNORE, self.options.loss.entropy_base, True, divisor)
        contrastive = self.contrastive(step, teacher, student, y_target, torch.cat([y_l, y_a]), len(x_l))

        total = (
            weights.supervised * supervised
            + self.pseudo_weight(i) * pseudo
            + weights.entropy * spread
            + (weights.contrastive * contrastive if i >= self.warmup else contrastive.new_zeros(()))
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

    def contrastive(
        self, step: Step, teacher: Output, student: Output, y_target: Tensor, labels: Tensor, labelled: int
    ) -> Tensor:
        """Fill the bank from the labelled crops, then L_contr (section 3.4); 0 during the warm-up."""
        config = self.options.contrastive
        if self.options.weights.contrastive > 0:
            if step.iteration >= self.warmup * config.bank_start:
                source = teacher if config.teacher_features else student
                self.contrast.fill_bank(source.part(slice(labelled)), y_target, step.draws)
            if step.iteration >= self.warmup:
                return self.contrast.loss(student.features, labels, labelled)
        return student.logits.new_zeros(())

    def averages(self) -> list[tuple[nn.Module, nn.Module]]:
        """f_ξ, g_ξ and S_ξ follow f_θ, g_θ and S_θ (eq. 2)."""
        contrast = self._modules.get("contrast")  # train() runs once before it exists
        return [*super().averages(), *(contrast.teacher_pairs() if isinstance(contrast, ContrastiveModule) else [])]

    def groups(self) -> list[ParameterGroup]:
        heads = [p for p in self.contrast.parameters() if p.requires_grad]
        return [*super().groups(), ParameterGroup("heads", heads, self.training_config.lr_multipliers.heads)]

    def measures(self) -> dict[str, float | None]:
        return self.contrast.measures()

    def remarks(self, measures: Mapping[str, float | None]) -> list[str]:
        return self.contrast.remarks(measures)

    def distance(self, features: Tensor, height: int) -> Tensor | None:
        return self.contrast.distance(features, height)

    @classmethod
    def stored_vectors(cls, state: Mapping[str, Tensor]) -> StoredVectors | None:
        bank = MemoryBank.from_state(state, "contrast.bank.")
        if bank is None:
            return None
        return StoredVectors(bank.vectors.float(), bank.labels, bank.counts.tolist(), bank.size)

    def cost(self, labelled: int, unlabelled: int) -> StepCost:
        """Two views of each crop, teacher features of labelled crops too, heads, attention and distances."""
        student = (labelled, *[unlabelled] * self.options.pseudo.views)
        passes = StepCost(student, teacher=labelled + unlabelled, losses=with_entropy)
        if self.options.weights.contrastive == 0:  # the module is not run then
            return passes
        return passes._replace(
            modules={"heads and attention": self.contrast},
            flops=lambda output, size: contrastive_flops(self.contrast, output, size),
            losses=lambda output, size: with_entropy(output, size) + contrastive_kept(self.contrast, output, size),
        )


METHOD = MemoryBankMethod
