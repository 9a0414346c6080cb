"""An adversary on the output (after Tsai et al., CVPR 2018): unlabelled crops must look as sure as labelled ones."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from semiseg.config.optimiser import OptimiserConfig
from semiseg.config.read import Config
from semiseg.config.section import NotNegative, Positive, Section
from semiseg.methods.base import Method, ParameterGroup, Step, probabilities
from semiseg.networks import SegmentationNetwork


class AdversaryWeights(Section):
    supervised: NotNegative = 1.0
    """Weight of the labelled crops' cross-entropy."""
    adversarial: NotNegative = 0.001
    """Weight of what the student gains by deceiving the critic."""


class CriticOptimiser(OptimiserConfig):
    kind: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: Positive = 1e-4


class AdversarySettings(Section):
    weights: AdversaryWeights = AdversaryWeights()
    critic: CriticOptimiser = CriticOptimiser()


class Adversary(Method):
    """The critic tells labelled crops from unlabelled ones by the student's probabilities; the student deceives it."""

    settings = AdversarySettings
    keeps_teacher = False
    terms = ("supervised", "adversarial", "critic")

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        super().__init__(config, student, labelled)
        self.critic = nn.Sequential(
            nn.Conv2d(self.num_classes, 16, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(16, 1, 4, stride=2, padding=1),
        )

    def losses(self, step: Step) -> dict[str, Tensor]:
        x_l, y_l, _ = self.labelled_view(step)
        logits_l, logits_u = self.pass_student(x_l, step.x_u.images).logits.tensor_split([len(x_l)])
        p_l, p_u = (probabilities(logits, x_l.shape[-2:]) for logits in (logits_l, logits_u))
        supervised = self.supervised(logits_l, y_l, step.iteration)
        # One backward pass for both: the student sees a critic that stands still, the critic outputs without a student.
        still = {name: parameter.detach() for name, parameter in self.critic.named_parameters()}
        adversarial = verdict(functional_call(self.critic, still, (p_u,)), labelled=True)
        critic = verdict(self.critic(p_l.detach()), labelled=True) + verdict(self.critic(p_u.detach()), labelled=False)
        weights = self.options.weights
        loss = weights.supervised * supervised + weights.adversarial * adversarial + critic
        return {"loss": loss, "supervised": supervised, "adversarial": adversarial, "critic": critic}

    def groups(self) -> list[ParameterGroup]:
        return [*super().groups(), ParameterGroup("critic", list(self.critic.parameters()), optimiser="critic")]

    def optimisers(self) -> dict[str, OptimiserConfig]:
        return {**super().optimisers(), "critic": self.options.critic}


def verdict(scores: Tensor, labelled: bool) -> Tensor:
    """Binary cross-entropy of the critic's scores (B, 1, h, w) with one answer for all of them."""
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, float(labelled)))
