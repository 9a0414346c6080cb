"""The paper's method, section 3, as one step: supervision, pseudo-labels, entropy and the contrastive module."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from semiseg.config.contrastive import ContrastiveConfig
from semiseg.config.read import Config
from semiseg.config.section import Section
from semiseg.contrastive import ContrastiveModule
from semiseg.data.base import IGNORE
from semiseg.losses import entropy, valid_mean, weighted_cross_entropy
from semiseg.methods.base import Method, Step, StepCost
from semiseg.methods.base.bank import Banked
from semiseg.methods.base.cost import plain_losses, with_entropy
from semiseg.methods.base.settings import EntropyLoss, FourWeights, WeightedPseudo
from semiseg.networks import upsample
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


class ConfidencePseudo(Method):
    """L = λ_sup L_sup + λ_pseudo L_pseudo + λ_ent L_ent: what the paper's method is without its bank."""

    terms: ClassVar[tuple[str, ...]] = ("supervised", "pseudo", "entropy")
    watched: ClassVar[tuple[str, ...]] = ("confidence",)

    def losses(self, step: Step) -> dict[str, Tensor]:
        i, x_u, weights = step.iteration, step.x_u, self.options.weights
        view = self.labelled_view(step)
        labelled = len(view.images)
        with torch.no_grad():
            assert self.teacher is not None
            for_bank = self.teacher_for_bank(i)
            teacher = self.teacher(torch.cat([view.images, x_u.images]) if for_bank else x_u.images)
            logits_u = upsample(teacher.logits[-len(x_u.images) :], x_u.images.shape[-2:])
            y_u, confidence = pseudo_labels(at_least_single(logits_u))  # eq. 5, on the un-augmented crop
            y_u = x_u.without_padding(y_u)
        if i >= self.warmup:  # before that the pseudo-labels are noise
            self.counts.update(y_u)

        views = [self.views.strong(step, x_u.images, y_u, confidence) for _ in range(self.options.pseudo.views)]
        y_a, sure = (torch.cat([view[k] for view in views]) for k in (1, 2))
        student = self.pass_student(view.images, *(view[0] for view in views))
        supervised = self.supervised(student.logits[:labelled], view.labels, i)  # eq. 4
        pseudo, spread = self.on_views(student.logits[labelled:], y_a, sure, i)
        total = weights.supervised * supervised + self.pseudo_weight(i) * pseudo + weights.entropy * spread
        terms = {
            "loss": total,
            "supervised": supervised,
            "pseudo": pseudo,
            "entropy": spread,
            "confidence": mean(valid_mean(confidence, y_u != IGNORE)),
        }
        return self.with_bank(step, view, student, y_a, terms, teacher)

    def teacher_for_bank(self, iteration: int) -> bool:
        """Whether a bank takes what the teacher gives for the labelled crops, which then pass it with the others."""
        return False

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

    def cost(self, labelled: int, unlabelled: int) -> StepCost:
        """Two views of each crop."""
        losses = with_entropy if self.options.weights.entropy > 0 else plain_losses
        return StepCost((labelled, *[unlabelled] * self.options.pseudo.views), teacher=unlabelled, losses=losses)


class MemoryBankMethod(Banked, ConfidencePseudo):
    """Alonso et al., ICCV 2021: eq. 1, L = λ_sup L_sup + λ_pseudo L_pseudo + λ_ent L_ent + λ_contr L_contr.

    The bank is the one that ``method.bank=true`` gives other methods (``methods/base/bank.py``).
    """

    settings = MemoryBankSettings
    of_bank, filled, in_groups = "contrastive", "bank_filled", ""
    terms = (*ConfidencePseudo.terms, of_bank)
    watched = (*ConfidencePseudo.watched, filled)
    measured = ContrastiveModule.MEASURED

    @classmethod
    def bank_settings(cls, config: Config) -> tuple[ContrastiveConfig, float]:
        options = config.method.settings
        return options.contrastive, options.weights.contrastive

    def teacher_for_bank(self, iteration: int) -> bool:
        return iteration >= self.fills_from and self.bank_options.teacher_features


METHOD = MemoryBankMethod
