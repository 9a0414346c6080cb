"""Cross pseudo supervision (Chen et al., CVPR 2021): two students, each of which learns from the other's labels."""

from __future__ import annotations

import copy

from torch import Tensor

from semiseg.config.read import Config
from semiseg.config.section import NotNegative, Section
from semiseg.losses import weighted_cross_entropy
from semiseg.methods.base import Method, Step
from semiseg.networks import SegmentationNetwork, upsample


class TwoStudentsWeights(Section):
    supervised: NotNegative = 1.0
    """Weight of the labelled crops' cross-entropy."""
    cross: NotNegative = 1.5
    """Weight of the cross-entropy with the other student's labels (1.5 for Cityscapes in the paper)."""


class TwoStudentsSettings(Section):
    weights: TwoStudentsWeights = TwoStudentsWeights()


class TwoStudents(Method):
    """L = L_sup + λ_cross · (H(p_1, argmax p_2) + H(p_2, argmax p_1)) on labelled and unlabelled crops."""

    settings = TwoStudentsSettings
    keeps_teacher = False
    terms = ("supervised", "cross")

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        super().__init__(config, student, labelled)
        self.second = copy.deepcopy(student)
        # Both begin with the pretrained backbone; what starts at random is drawn anew, from the global generator that
        # training.seed sets before a method is built, so that all processes draw the same.
        for part in (self.second.decoder, self.second.classifier):
            for module in part.modules() if part is not None else ():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()

    def learners(self) -> dict[str, SegmentationNetwork]:
        return {"student": self.student, "second": self.second}

    def losses(self, step: Step) -> dict[str, Tensor]:
        x_l, y_l, _ = self.labelled_view(step)
        passes = [self.pass_student(x_l, step.x_u.images, network=n).logits for n in self.learners().values()]
        supervised = sum(self.supervised(logits[: len(x_l)], y_l, step.iteration) for logits in passes)
        one, two = (upsample(logits, x_l.shape[-2:]) for logits in passes)
        cross = weighted_cross_entropy(one, two.argmax(dim=1)) + weighted_cross_entropy(two, one.argmax(dim=1))
        loss = self.options.weights.supervised * supervised + self.options.weights.cross * cross
        return {"loss": loss, "supervised": supervised, "cross": cross}
