"""Error-correcting supervision (Mendel et al., ECCV 2020): a second network mends the student's own labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from semiseg.config.read import Config
from semiseg.config.section import NotNegative, Section
from semiseg.data.base import IGNORE
from semiseg.losses import weighted_cross_entropy
from semiseg.methods.base import Method, Needs, ParameterGroup, Pseudo, Step, StepCost, Weights, probabilities
from semiseg.networks import SegmentationNetwork, upsample
from semiseg.networks.corrector import Corrector
from semiseg.networks.still import standing_still
from semiseg.runtime.distributed import mean
from semiseg.runtime.flops import count_flops
from semiseg.runtime.precision import at_least_single


class ErrorCorrectingWeights(Weights):
    auxiliary: NotNegative = 0.1
    """Weight of what the student gains by predictions that the corrector calls right (not known from the paper)."""
    corrector: NotNegative = 1.0
    """Weight of the corrector's own loss, which moves nothing else (not known from the paper)."""


class ErrorCorrectingSettings(Section):
    weights: ErrorCorrectingWeights = ErrorCorrectingWeights()
    pseudo: Pseudo = Pseudo()


class ErrorCorrecting(Method):
    """L = L_sup + λ_aux · H(c(x_l, p_l), right) + λ_pseudo · 1/N Σ_n w_n · H(p_n, ŷ_n) over unlabelled pixels.

    The corrector c sees an image and the student's softmax p and has C + 1 outputs. On labelled crops it learns to say
    "right" where argmax p is the label, and the label elsewhere. On unlabelled crops ŷ is argmax p where it says
    "right" and otherwise its own class, and w its certainty, the highest of its probabilities. λ_pseudo is 0 during the
    warm-up.

    What the abstract says is held: a second network that judges and mends, learnt on labelled data; the new target and
    its weight by certainty on unlabelled data; an auxiliary term on labelled data; two networks of one kind. The rest
    of the paper could not be read and no code is public: the form of the auxiliary term, the C + 1 outputs, all
    weights, the warm-up, how image and segmentation are joined and the corrector's optimiser (here the student's) are
    ours.
    """

    settings = ErrorCorrectingSettings
    further_rates = ()
    takes_bank = True
    needs = Needs(context=True)
    keeps_teacher = False
    terms = ("supervised", "pseudo", "auxiliary", "corrector")
    watched = ("certainty", "corrected")

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        super().__init__(config, student, labelled)
        self.corrector = Corrector(student)

    def losses(self, step: Step) -> dict[str, Tensor]:
        weights = self.options.weights
        view = self.labelled_view(step)
        x_l, y_l = view.images, view.labels
        x_u, inside = self.views.geometry(step)
        student = self.pass_student(x_l, x_u)
        logits_l, logits_u = student.logits.tensor_split([len(x_l)])
        supervised = self.supervised(logits_l, y_l, step.iteration)
        words: dict[str, Any] = {"ignore_index": IGNORE, "divisor": "weights", "across_processes": True}

        valid, right = y_l != IGNORE, self.num_classes
        p_l = probabilities(logits_l, x_l.shape[-2:])
        answer = y_l.where(p_l.argmax(dim=1) != y_l, right)
        corrector = weighted_cross_entropy(self.corrector(x_l, p_l.detach()), answer, **words)
        wanted = torch.full_like(y_l, right).where(valid, IGNORE)
        auxiliary = weighted_cross_entropy(standing_still(self.corrector, x_l, p_l), wanted, **words)

        logits_u = at_least_single(upsample(logits_u, x_u.shape[-2:]))
        own = logits_u.argmax(dim=1)
        with torch.no_grad():
            p_u = logits_u.softmax(dim=1) * inside[:, None]
            certainty, said = self.corrector(x_u * inside[:, None], p_u).softmax(dim=1).max(dim=1)
        y_u = torch.where(said == right, own, said).where(inside, IGNORE)
        pseudo = weighted_cross_entropy(logits_u, y_u, None, certainty, **words)

        loss = weights.supervised * supervised + self.pseudo_weight(step.iteration) * pseudo
        loss = loss + weights.auxiliary * auxiliary + weights.corrector * corrector
        pixels = mean(inside.sum().float()).clamp_min(1)
        terms = {
            "loss": loss, "supervised": supervised, "pseudo": pseudo, "auxiliary": auxiliary, "corrector": corrector,
            "certainty": mean((certainty * inside).sum()) / pixels,
            "corrected": mean(((y_u != own) & inside).sum().float()) / pixels,
        }  # fmt: skip
        return self.with_bank(step, view, student, y_u, terms)

    def groups(self) -> list[ParameterGroup]:
        rates, network = self.training_config.lr_multipliers, self.corrector.network
        backbone = network.backbone_parameters()
        known = {id(p) for p in backbone}
        rest = [p for p in self.corrector.parameters() if p.requires_grad and id(p) not in known]
        return [
            *super().groups(),
            ParameterGroup("corrector backbone", backbone, rates.backbone),
            ParameterGroup("corrector classifier", rest, rates.classifier),
        ]

    def cost(self, labelled: int, unlabelled: int) -> StepCost:
        def flops(output: object, size: tuple[int, int]) -> dict[str, int]:
            counts = self.student.channels, self.num_classes
            image, maps = (torch.empty(1, channels, *size, device="meta") for channels in counts)
            return {"corrector": 2 * count_flops(lambda: self.corrector(image, maps))}

        return super().cost(labelled, unlabelled)._replace(flops=flops)


METHOD = ErrorCorrecting
