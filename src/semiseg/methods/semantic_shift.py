"""Alleviating semantic-level shift (ASS, Wang et al., CVPRW 2020): two domains, aligned class by class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.config.optimiser import OptimiserConfig
from semiseg.config.read import Config
from semiseg.config.section import NotNegative, Section
from semiseg.contrastive.maps import downsample_labels
from semiseg.data.base import IGNORE
from semiseg.losses import valid_mean, verdict
from semiseg.methods.base import Method, Needs, ParameterGroup, Step, StepCost, probabilities
from semiseg.methods.base.domains import labels_of_domains
from semiseg.methods.base.settings import CriticOptimiser
from semiseg.networks import Output, SegmentationNetwork
from semiseg.networks.critic import PixelCritic
from semiseg.networks.semantic_critic import SemanticCritic, class_vectors
from semiseg.networks.still import standing_still
from semiseg.runtime.flops import count_flops


class SemanticShiftWeights(Section):
    supervised: NotNegative = 1.0
    """λ_sup, of the labelled crops of both domains."""
    adversarial: NotNegative = 0.001
    """λ_G, what the student gains where target predictions pass for source ones (Tsai et al., CVPR 2018:
    0.001; the value of the paper could not be verified)."""
    semantic: NotNegative = 0.001
    """λ_S, what it gains where mean features of the target's classes pass for the source's (as λ_G, not verified)."""
    critic: NotNegative = 1.0
    """Weight of the critics' own losses, which move nothing else."""


class SemanticShiftSettings(Section):
    weights: SemanticShiftWeights = SemanticShiftWeights()
    critic: CriticOptimiser = CriticOptimiser()


class SemanticShift(Method):
    """L = L_sup + λ_G · BCE(D(p_t), source) + λ_S · H(D_s(v_c,t), class c of the source).

    D sees the predictions of whole crops, and learns which are of the source, labelled, and which of the target,
    labelled or not. v_c are the features before the classifier, averaged over the pixels of class c of one labelled
    crop. D_s tells 2·C kinds of them apart: C classes of the source, then C classes of the target. A class that a crop
    lacks adds nothing. Pixels keep the domain that they come from where ClassMix has pasted them into another crop.

    Only the abstract of the paper (arXiv 2004.00794) was at hand: that D_s has 2·C outputs is from memory, its hidden
    widths are our choice, and D and its optimiser are those of Tsai et al. (CVPR 2018), which the paper extends. D is
    given the predictions for ignored pixels of labelled crops, though no score there counts: holes that only labelled
    crops have would tell the domains apart.

    Without ``data.source`` the labelled crops stand for the source; there is no labelled target then, and λ_S rests.
    """

    settings = SemanticShiftSettings
    further_rates = ()
    needs = Needs(context=True)
    keeps_teacher = False
    terms = ("supervised", "adversarial", "semantic", "critic", "semantic_critic")

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        super().__init__(config, student, labelled)
        self.critic = PixelCritic(self.num_classes)
        self.semantic_critic = SemanticCritic(student.feature_dim, self.num_classes)

    def losses(self, step: Step) -> dict[str, Tensor]:
        weights, view = self.options.weights, self.labelled_view(step)
        x_u, inside = self.views.geometry(step)
        output = self.pass_student(view.images, x_u)
        logits_l, logits_u = output.logits.tensor_split([len(view.images)])
        supervised = self.supervised(logits_l, view.labels, step.iteration)

        y_s, y_t = labels_of_domains(step.labelled, view)
        p_l, p_u = (probabilities(logits, inside.shape[-2:]) for logits in (logits_l, logits_u))
        p = torch.cat([p_l, p_u * inside[:, None]])
        of_source = torch.cat([y_s != IGNORE, torch.zeros_like(inside)])
        of_target = torch.cat([y_t != IGNORE, inside])
        adversarial = verdict(standing_still(self.critic, p), True, of_target)
        scores = self.critic(p.detach())
        critic = (verdict(scores, True, of_source) + verdict(scores, False, of_target)) / 2

        features = output.features[: len(view.images)]
        size, classes = features.shape[-2:], self.num_classes
        (v_s, in_s), (v_t, in_t) = (class_vectors(features, downsample_labels(y, size), classes) for y in (y_s, y_t))
        semantic = named(standing_still(self.semantic_critic, v_t), in_t, 0)
        of_critic = named(self.semantic_critic(v_s.detach()), in_s, 0)
        of_critic = (of_critic + named(self.semantic_critic(v_t.detach()), in_t, classes)) / 2

        loss = weights.supervised * supervised + weights.adversarial * adversarial + weights.semantic * semantic
        loss = loss + weights.critic * (critic + of_critic)
        return {
            "loss": loss, "supervised": supervised, "adversarial": adversarial, "semantic": semantic,
            "critic": critic, "semantic_critic": of_critic,
        }  # fmt: skip

    def groups(self) -> list[ParameterGroup]:
        both = list(nn.ModuleList([self.critic, self.semantic_critic]).parameters())
        return [*super().groups(), ParameterGroup("critics", both, optimiser="critic")]

    def optimisers(self) -> dict[str, OptimiserConfig]:
        return {**super().optimisers(), "critic": self.options.critic}

    def cost(self, labelled: int, unlabelled: int) -> StepCost:
        """The critics' passes as well: that of maps sees both kinds of predictions for the student and again for
        itself, that of classes their mean features in a labelled crop, those of the target twice."""

        def flops(output: Output, size: tuple[int, int]) -> dict[str, int]:
            maps = torch.empty(1, self.num_classes, *size, device="meta")
            vectors = output.features.new_empty(1, self.num_classes, output.features.shape[1])
            return {
                "critic": 4 * count_flops(lambda: self.critic(maps)),
                "semantic critic": 3 * count_flops(lambda: self.semantic_critic(vectors)),
            }

        return super().cost(labelled, unlabelled)._replace(flops=flops)


def named(scores: Tensor, present: Tensor, first: int) -> Tensor:
    """Cross-entropy of scores (B, C, 2·C) of the vectors of classes 0…C-1 with the kinds first…first+C-1, mean over
    what is ``present`` (B, C); 0 where nothing is."""
    kinds = torch.arange(first, first + scores.shape[1], device=scores.device).expand(present.shape)
    return valid_mean(F.cross_entropy(scores.transpose(1, 2), kinds, reduction="none"), present)


METHOD = SemanticShift
