"""s4GAN (Mittal et al., TPAMI 2021): a critic of images chooses what the student learns from its own labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from semiseg.config.keys import leaf_fields
from semiseg.config.optimiser import OptimiserConfig
from semiseg.config.read import Config
from semiseg.config.section import NotNegative, Probability, Section
from semiseg.data.base import IGNORE
from semiseg.losses import feature_matching, valid_mean, verdict, weighted_cross_entropy
from semiseg.methods.base import Method, Needs, ParameterGroup, Step, StepCost, Weights, probabilities
from semiseg.methods.base.multi_label import MultiLabel, MultiLabelSettings
from semiseg.methods.base.settings import OWN_VIEWS, CriticOptimiser, teacher_of
from semiseg.networks import Output, SegmentationNetwork, upsample
from semiseg.networks.critic import one_hot
from semiseg.networks.image_critic import ImageCritic
from semiseg.networks.presence import Presence
from semiseg.networks.still import standing_still
from semiseg.runtime.distributed import mean
from semiseg.runtime.flops import count_flops
from semiseg.runtime.precision import at_least_single


class S4GANWeights(Weights):
    pseudo: NotNegative = 1.0
    """λ_st, of the cross-entropy with the student's own labels of trusted images (public code: 1)."""
    matching: NotNegative = 0.1
    """λ_fm, of the feature matching loss (public code: 0.1)."""
    critic: NotNegative = 1.0
    """Weight of the critic's own loss, which moves nothing else (public code: 1)."""


class S4GANPseudo(Section):
    score_threshold: Probability = 0.6
    """γ: an image is trusted from this score of the critic on (public code: 0.6 for VOC, 0.7 for Cityscapes)."""


class S4GANCritic(CriticOptimiser):
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of channels left out behind the critic's first three convolutions (public code: 0.5)."""


class S4GANSettings(Section):
    weights: S4GANWeights = S4GANWeights()
    pseudo: S4GANPseudo = S4GANPseudo()
    critic: S4GANCritic = S4GANCritic()
    multi_label: MultiLabelSettings = MultiLabelSettings()

    PAPER = OWN_VIEWS | teacher_of(0.999)


class S4GAN(Method):
    """L = L_sup + λ_fm ‖mean D̄(p_u, x_u) - mean D̄(y_l, x_l)‖₁ + λ_st · H(p_u, argmax p_u) over images with D ≥ γ.

    D gives one score for an image and its map, D̄ are the features behind it. It minimises ½ BCE(D(p_u, x_u), 0) +
    ½ BCE(D(y_l, x_l), 1). Ignored pixels and padding are zero in map and image alike.

    ``multi_label`` adds MLMT: binary cross-entropy of an image classifier with the classes of the labelled crops, and
    the cosine distance of its logits for coloured unlabelled crops from its teacher's (eq. 2, ``method.teacher``). The
    two branches meet at test time, in validations and predictions: maps of classes that the teacher does not find in an
    image, or in the window that is looked at, are left out (``networks/presence.py``). The same rule is applied to what
    the student learns from itself, which is not so in the paper. Where it finds no class, nothing is left out.

    Its paper's, replaced under ``method.profile=equal``: τ = 0.999 of that branch, no class weights, labelled crops
    that keep their colours and are not mixed.
    """

    settings = S4GANSettings
    further_rates = ()
    takes_bank = True
    needs = Needs(context=True)
    keeps_teacher = False
    terms = ("supervised", "pseudo", "matching", "critic", "presence", "presence_consistency")
    watched = ("trusted",)
    multi_label: MultiLabel | None

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        super().__init__(config, student, labelled)
        self.critic = ImageCritic(self.num_classes, dropout=self.options.critic.dropout, channels=student.channels)
        options = self.options.multi_label
        self.multi_label = MultiLabel(student, options) if options.enabled else None

    @classmethod
    def unread(cls, config: Config) -> set[str]:
        found = super().unread(config)
        options = config.method.settings.multi_label
        if options.enabled:
            return {key for key in found if "teacher" not in key}
        return found | {f"method.s4gan.multi_label.{key}" for key in leaf_fields(type(options)) if key != "enabled"}

    def losses(self, step: Step) -> dict[str, Tensor]:
        weights, draws = self.options.weights, step.draws
        view = self.labelled_view(step)
        x_l, y_l = view.images, view.labels
        x_u, inside = self.views.geometry(step)
        student = self.pass_student(x_l, x_u)
        logits_l, logits_u = student.logits.tensor_split([len(x_l)])
        supervised = self.supervised(logits_l, y_l, step.iteration)

        labelled, seen = (y_l != IGNORE).flatten(1).any(dim=1), inside.flatten(1).any(dim=1)
        p_u = probabilities(logits_u, x_u.shape[-2:]) * inside[:, None]
        fake = p_u, x_u * inside[:, None]
        real = one_hot(y_l, self.num_classes).to(p_u.dtype), x_l * (y_l != IGNORE)[:, None]
        scores, features = standing_still(self.critic, *fake, draws)
        with torch.no_grad():
            wanted = self.critic(*real, draws)[1]
        matching = feature_matching(features, wanted, seen, labelled)
        own, presence, consistency = p_u.detach(), x_u.new_zeros(()), x_u.new_zeros(())
        if self.multi_label is not None:
            target = self.multi_label.target(fake[1])
            own = self.multi_label.without_absent(own, target)
            coloured = self.views.colour(step, x_u) * inside[:, None]
            presence, consistency = self.multi_label.losses(x_l, y_l, coloured, target, seen)

        trusted = seen & (scores.detach().sigmoid() >= self.options.pseudo.score_threshold)
        y_u = own.argmax(dim=1).where(trusted[:, None, None] & inside, IGNORE)
        logits_u = at_least_single(upsample(logits_u, x_u.shape[-2:]))
        pseudo = weighted_cross_entropy(logits_u, y_u, None, None, IGNORE, divisor="weights", across_processes=True)

        critic = verdict(self.critic(p_u.detach(), fake[1], draws)[0], False, seen)
        critic = (critic + verdict(self.critic(*real, draws)[0], True, labelled)) / 2
        loss = weights.supervised * supervised + weights.pseudo * pseudo + weights.matching * matching
        loss = loss + weights.critic * critic
        if self.multi_label is not None:
            loss = loss + presence + self.multi_label.weight(step.iteration / self.iterations) * consistency
        terms = {
            "loss": loss, "supervised": supervised, "pseudo": pseudo, "matching": matching, "critic": critic,
            "presence": presence, "presence_consistency": consistency, "trusted": mean(valid_mean(trusted, seen)),
        }  # fmt: skip
        return self.with_bank(step, view, student, y_u, terms)

    @contextmanager
    def predicting(self) -> Iterator[SegmentationNetwork]:
        if self.multi_label is not None:
            self.student.presence = Presence(self.multi_label.teacher, self.options.multi_label.presence_threshold)
        try:
            yield self.student
        finally:
            self.student.presence = None

    @classmethod
    def complete(cls, config: Config, network: SegmentationNetwork, state: Mapping[str, Tensor]) -> None:
        options = config.method.settings.multi_label
        if options.enabled:
            network.presence = MultiLabel.loaded(network, options, state)

    def averages(self) -> list[tuple[nn.Module, nn.Module]]:
        branch = self.multi_label
        return super().averages() + ([] if branch is None else [(branch.teacher, branch.classifier)])

    def groups(self) -> list[ParameterGroup]:
        found = [*super().groups(), ParameterGroup("critic", list(self.critic.parameters()), optimiser="critic")]
        if self.multi_label is not None:
            learns = [p for p in self.multi_label.classifier.parameters() if p.requires_grad]
            found.append(ParameterGroup("image classifier", learns, optimiser="classifier"))
        return found

    def optimisers(self) -> dict[str, OptimiserConfig]:
        further = {} if self.multi_label is None else {"classifier": self.options.multi_label.optimiser}
        return {**super().optimisers(), "critic": self.options.critic, **further}

    def cost(self, labelled: int, unlabelled: int) -> StepCost:
        """The critic's passes as well: over predictions for the student and again for itself, and twice over labels;
        the image classifier's over both kinds of crops, and its teacher's."""

        def flops(output: Output, size: tuple[int, int]) -> dict[str, int]:
            maps, image = (
                torch.empty(1, channels, *size, device="meta") for channels in (self.num_classes, self.student.channels)
            )
            found = {"critic": 4 * count_flops(lambda: self.critic(maps, image, torch.Generator()))}
            if (branch := self.multi_label) is not None:
                found["image classifier"] = 3 * count_flops(lambda: branch.classifier(image))
            return found

        return super().cost(labelled, unlabelled)._replace(flops=flops)


METHOD = S4GAN
