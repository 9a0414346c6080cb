"""The paper's method, section 3, as one step: supervision, pseudo-labels, entropy and the contrastive module."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from semiseg.config.read import Config
from semiseg.config.section import Section
from semiseg.contrastive import ContrastiveConfig, ContrastiveModule
from semiseg.contrastive.cost import contrastive_flops, contrastive_kept
from semiseg.data.base import IGNORE
from semiseg.losses import entropy, valid_mean, weighted_cross_entropy
from semiseg.memory_bank import MemoryBank
from semiseg.methods.base import Method, ParameterGroup, Step, StepCost, StoredVectors
from semiseg.methods.base.cost import plain_losses, with_entropy
from semiseg.methods.base.settings import EntropyLoss, FourWeights, WeightedPseudo
from semiseg.networks import Output, SegmentationNetwork, upsample
from semiseg.pseudo_labels import confidence_weights, pseudo_labels
from semiseg.runtime.distributed import mean
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
        student.tap = config.method.settings.contrastive.tap  # before the teacher is copied from it
        super().__init__(config, student, labelled)
        options = self.options.contrastive
        self.contrasts = self.options.weights.contrastive > 0  # otherwise nothing of the module runs
        self.fills_from = self.warmup * options.bank_start if self.contrasts else math.inf
        self.contrast = ContrastiveModule(
            options, student.feature_dim, self.num_classes, labelled, config.training.batch_size
        )

    def losses(self, step: Step) -> dict[str, Tensor]:
        i, x_u, weights = step.iteration, step.x_u, self.options.weights
        x_l, y_l, y_target = self.labelled_view(step)
        with torch.no_grad():
            assert self.teacher is not None
            for_bank = i >= self.fills_from and self.options.contrastive.teacher_features
            teacher = self.teacher(torch.cat([x_l, x_u.images]) if for_bank else x_u.images)
            logits_u = upsample(teacher.logits[-len(x_u.images) :], x_u.images.shape[-2:])
            y_u, confidence = pseudo_labels(at_least_single(logits_u))  # eq. 5, on the un-augmented crop
            y_u = x_u.without_padding(y_u)
        if i >= self.warmup:  # before that the pseudo-labels are noise
            self.counts.update(y_u)

        views = [self.views.strong(step, x_u.images, y_u, confidence) for _ in range(self.options.pseudo.views)]
        y_a, sure = (torch.cat([view[k] for view in views]) for k in (1, 2))
        student = self.pass_student(x_l, *(view[0] for view in views))
        supervised = self.supervised(student.logits[: len(x_l)], y_l, i)  # eq. 4
        pseudo, spread = self.on_views(student.logits[len(x_l) :], y_a, sure, i)
        contrastive = self.contrastive(step, teacher, student, y_target, torch.cat([y_l, y_a]), len(x_l))
        total = weights.supervised * supervised + self.pseudo_weight(i) * pseudo + weights.entropy * spread
        total = total + weights.contrastive * contrastive
        return {
            "loss": total,
            "supervised": supervised,
            "pseudo": pseudo,
            "entropy": spread,
            "contrastive": contrastive,
            "confidence": mean(valid_mean(confidence, y_u != IGNORE)),
            "bank_filled": self.contrast.bank.counts.sum() / (self.num_classes * self.contrast.bank.size),
        }

    def on_views(self, logits: Tensor, labels: Tensor, confidence: Tensor, iteration: int) -> tuple[Tensor, Tensor]:
        """L_pseudo and L_ent of A views of one size, whose mean is 1/A of the sum of eqs. 6 and 7; 0 without weight."""
        pseudo = spread = logits.new_zeros(())
        asks_pseudo, asks_entropy = self.pseudo_weight(iteration) > 0, self.options.weights.entropy > 0
        if asks_pseudo or asks_entropy:
            logits = upsample(logits, labels.shape[-2:])
        if asks_pseudo:
            beta = confidence_weights(confidence, self.options.pseudo.sharpness)
            pseudo = weighted_cross_entropy(logits, labels, self.class_weights(iteration), beta, IGNORE)
        if asks_entropy:
            divisor: Literal["valid", "pixels"] = "valid" if self.options.loss.entropy_valid_only else "pixels"
            spread = entropy(logits, labels != IGNORE, self.options.loss.entropy_base, True, divisor)
        return pseudo, spread

    def contrastive(
        self, step: Step, teacher: Output, student: Output, y_target: Tensor, labels: Tensor, labelled: int
    ) -> Tensor:
        """Fill the bank from the labelled crops, then L_contr (section 3.4); 0 during the warm-up."""
        if step.iteration >= self.fills_from:
            source = teacher if self.options.contrastive.teacher_features else student
            self.contrast.fill_bank(source.part(slice(labelled)), y_target, step.draws)
        if self.contrasts and step.iteration >= self.warmup:
            return self.contrast.loss(student.features, labels, labelled)
        return student.logits.new_zeros(())

    def averages(self) -> list[tuple[nn.Module, nn.Module]]:
        """f_ξ follows f_θ, and where they run g_ξ and S_ξ follow g_θ and S_θ (eq. 2)."""
        contrast = self._modules.get("contrast")  # train() runs once before it exists
        if not (isinstance(contrast, ContrastiveModule) and self.contrasts):
            return super().averages()
        return [*super().averages(), *contrast.teacher_pairs()]

    def groups(self) -> list[ParameterGroup]:
        c, rates = self.contrast, self.training_config.lr_multipliers
        heads, attention = nn.ModuleList([c.projection, c.prediction]), nn.ModuleList([c.attention_p, c.attention_z])
        of_attention = rates.heads if rates.attention is None else rates.attention
        return [
            *super().groups(),
            ParameterGroup("heads", list(heads.parameters()), rates.heads),
            ParameterGroup("attention", list(attention.parameters()), of_attention),
        ]

    def measures(self) -> dict[str, float | None]:
        return self.contrast.measures() if self.contrasts else dict.fromkeys(self.measured)

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
        losses = with_entropy if self.options.weights.entropy > 0 else plain_losses
        passes = StepCost(student, teacher=unlabelled, losses=losses)
        if not self.contrasts:
            return passes
        return passes._replace(
            teacher=unlabelled + labelled * self.options.contrastive.teacher_features,
            modules={"heads and attention": self.contrast},
            flops=lambda output, size: contrastive_flops(self.contrast, output, size),
            losses=lambda output, size: losses(output, size) + contrastive_kept(self.contrast, output, size),
        )


METHOD = MemoryBankMethod
