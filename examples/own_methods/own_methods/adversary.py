"""A critic that tells true masks from predicted ones (after Hung et al., BMVC 2018), with an Adam of its own."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from semiseg.config.optimiser import OptimiserConfig
from semiseg.config.section import NotNegative, Positive, Section
from semiseg.methods.base import Method, ParameterGroup, Step


class AdversarySettings(Section):
    weight: NotNegative = 0.01
    """Weight of the adversarial term on labelled and unlabelled crops (Hung et al.: 0.01 on labelled ones)."""
    learning_rate: Positive = 1e-4
    """Learning rate of the critic's Adam (Hung et al.: 1e-4)."""


class Adversary(Method):
    """L_sup + λ H(critic(f_θ(x)), true) for the student, H(critic(f_θ(x)), false) + H(critic(y), true) for the critic.

    One backward pass serves both: the student's term goes through the critic with its weights held fixed, the critic's
    term sees the student's output detached.
    """

    settings = AdversarySettings
    keeps_teacher = False
    terms = ("supervised", "adversarial", "critic")

    def __init__(self, config, student, labelled):
        super().__init__(config, student, labelled)
        self.critic = nn.Sequential(
            nn.Conv2d(student.num_classes, 16, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 1, 3, 2, 1)
        )

    def groups(self):
        return [*super().groups(), ParameterGroup("critic", list(self.critic.parameters()), optimiser="critic")]

    def optimisers(self):
        critic = OptimiserConfig(kind="adam", learning_rate=self.options.learning_rate, momentum=0.9, beta2=0.99)
        return {**super().optimisers(), "critic": critic}

    def losses(self, step: Step) -> dict[str, Tensor]:
        x_l, y_l, _ = self.labelled_view(step)
        logits = self.pass_student(x_l, step.x_u.images).logits
        supervised = self.supervised(logits[: len(x_l)], y_l, step.iteration)
        predicted = logits.softmax(dim=1)

        fixed = {name: p.detach() for name, p in self.critic.named_parameters()}
        adversarial = is_true(functional_call(self.critic, fixed, (predicted,)))
        size = logits.shape[-2:]
        small = F.interpolate(y_l[:, None].float(), size=size, mode="nearest-exact")[:, 0].long()
        truth = F.one_hot(small.clamp_max(self.num_classes - 1), self.num_classes).movedim(3, 1).to(predicted.dtype)
        critic = is_true(self.critic(truth)) + is_true(-self.critic(predicted.detach()))

        loss = supervised + self.options.weight * adversarial + critic
        return {"loss": loss, "supervised": supervised, "adversarial": adversarial, "critic": critic}


def is_true(scores: Tensor) -> Tensor:
    """Cross-entropy of "true" for the critic's scores; of "false" for their negatives."""
    return F.binary_cross_entropy_with_logits(scores, torch.ones_like(scores))
