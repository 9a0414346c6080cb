"""Adversarial learning (Hung et al., BMVC 2018): a critic of label maps says which pseudo-labels can be trusted."""

from __future__ import annotations

import torch
from torch import Tensor

from semiseg.config.optimiser import OptimiserConfig
from semiseg.config.read import Config
from semiseg.config.section import NotNegative, Probability, Section
from semiseg.data.base import IGNORE
from semiseg.losses import valid_mean, verdict, weighted_cross_entropy
from semiseg.methods.base import Method, Needs, ParameterGroup, Step, StepCost, Weights, probabilities
from semiseg.methods.base.settings import OWN_VIEWS, CriticOptimiser
from semiseg.networks import Output, SegmentationNetwork, upsample
from semiseg.networks.critic import PixelCritic, one_hot
from semiseg.networks.still import standing_still
from semiseg.runtime.distributed import mean
from semiseg.runtime.flops import count_flops
from semiseg.runtime.precision import at_least_single


class AdversarialWeights(Weights):
    pseudo: NotNegative = 0.1
    """λ_semi, of the cross-entropy with the student's own labels where they are trusted (public code: 0.1)."""
    adversarial: NotNegative = 0.01
    """λ_adv on labelled crops: what the student gains by deceiving the critic (Hung et al.: 0.01)."""
    adversarial_unlabelled: NotNegative = 0.001
    """λ_adv on unlabelled crops (public code: 0.001)."""
    critic: NotNegative = 1.0
    """Weight of the critic's own loss, which moves nothing else (public code: 1)."""


class AdversarialPseudo(Section):
    score_threshold: Probability = 0.2
    """T_semi: a pixel is trusted from this probability on that the critic takes it for a label (public code: 0.2)."""
    start: Probability = 5_000 / 20_000
    """Share of the iterations before which nothing is trusted (public code: 5 000 of 20 000)."""


class AdversarialSettings(Section):
    weights: AdversarialWeights = AdversarialWeights()
    pseudo: AdversarialPseudo = AdversarialPseudo()
    critic: CriticOptimiser = CriticOptimiser()

    PAPER = OWN_VIEWS | {"augment.weak": "scale", "augment.strong": "scale"}


class Adversarial(Method):
    """L = L_sup + λ_adv · BCE(D(p), 1) + λ_semi · H(p_u, argmax p_u) over the pixels with σ(D(p_u)) ≥ T.

    D is the critic, p = softmax f_θ(x): λ_adv is another for labelled and for unlabelled crops. D minimises
    ½ BCE(D(p), 0) + ½ BCE(D(y), 1) on both kinds of crops and on the one-hot labels.

    A pixel that is ignored or padding is zero in every map that the critic sees, predictions as well as labels, and
    none of its scores counts: the public code has zeros there in labels alone, by which the critic tells them apart.
    The labels are those of the step's labelled crops; the public code loads others. Unlabelled crops are flipped and
    resized as the strong set says. Constants are those of the public code's VOC runs; the Cityscapes runs have none.

    The public code's, replaced under ``method.profile=equal``: no class weights, all crops flipped and scaled by 0.5 to
    1.5 and nothing else.
    """

    settings = AdversarialSettings
    further_rates = ()
    takes_bank = True
    needs = Needs(context=True)
    keeps_teacher = False
    terms = ("supervised", "pseudo", "adversarial", "adversarial_unlabelled", "critic")
    watched = ("trusted",)

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        super().__init__(config, student, labelled)
        self.critic = PixelCritic(self.num_classes)

    def losses(self, step: Step) -> dict[str, Tensor]:
        weights, threshold = self.options.weights, self.options.pseudo.score_threshold
        view = self.labelled_view(step)
        x_l, y_l = view.images, view.labels
        x_u, inside = self.views.geometry(step)
        student = self.pass_student(x_l, x_u)
        logits_l, logits_u = student.logits.tensor_split([len(x_l)])
        supervised = self.supervised(logits_l, y_l, step.iteration)

        valid = torch.cat([y_l != IGNORE, inside])
        p = probabilities(torch.cat([logits_l, logits_u]), x_l.shape[-2:]) * valid[:, None]
        scores_l, scores_u = standing_still(self.critic, p).tensor_split([len(x_l)])
        adversarial = verdict(scores_l, True, y_l != IGNORE)
        adversarial_u = verdict(scores_u, True, inside)

        started = step.iteration >= self.options.pseudo.start * self.iterations
        trusted = inside & (scores_u.detach().sigmoid() >= threshold) & started
        logits_u = at_least_single(upsample(logits_u, x_u.shape[-2:]))
        y_u = logits_u.argmax(dim=1).where(trusted, IGNORE)
        pseudo = weighted_cross_entropy(logits_u, y_u, None, None, IGNORE, divisor="weights", across_processes=True)

        critic = self.of_critic(p.detach(), valid, y_l)
        loss = weights.supervised * supervised + weights.pseudo * pseudo + weights.adversarial * adversarial
        loss = loss + weights.adversarial_unlabelled * adversarial_u + weights.critic * critic
        terms = {
            "loss": loss, "supervised": supervised, "pseudo": pseudo, "adversarial": adversarial,
            "adversarial_unlabelled": adversarial_u, "critic": critic, "trusted": mean(valid_mean(trusted, inside)),
        }  # fmt: skip
        return self.with_bank(step, view, student, y_u, terms)

    def of_critic(self, p: Tensor, valid: Tensor, labels: Tensor) -> Tensor:
        """What the critic minimises, given predictions (B, C, H, W) without a student and labels (B', H, W)."""
        fake = verdict(self.critic(p), False, valid)
        real = verdict(self.critic(one_hot(labels, self.num_classes).to(p.dtype)), True, labels != IGNORE)
        return (fake + real) / 2

    def groups(self) -> list[ParameterGroup]:
        return [*super().groups(), ParameterGroup("critic", list(self.critic.parameters()), optimiser="critic")]

    def optimisers(self) -> dict[str, OptimiserConfig]:
        return {**super().optimisers(), "critic": self.options.critic}

    def cost(self, labelled: int, unlabelled: int) -> StepCost:
        """The critic's passes as well: over both kinds of predictions for the student and again for itself, and over
        the labels."""

        def flops(output: Output, size: tuple[int, int]) -> dict[str, int]:
            maps = torch.empty(1, self.num_classes, *size, device="meta")
            return {"critic": 5 * count_flops(lambda: self.critic(maps))}

        return super().cost(labelled, unlabelled)._replace(flops=flops)


METHOD = Adversarial
