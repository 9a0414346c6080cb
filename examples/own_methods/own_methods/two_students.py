"""Two students that label for each other (after Chen et al., cross pseudo supervision, CVPR 2021)."""

import copy

import torch
from torch import Tensor, nn

from semiseg.config.section import NotNegative, Section
from semiseg.losses import weighted_cross_entropy
from semiseg.methods.base import Method, Step
from semiseg.networks import upsample


class TwoStudentsSettings(Section):
    weight: NotNegative = 1.5
    """Weight of the cross term (Chen et al., VOC: 1.5)."""


class TwoStudents(Method):
    """L = Σ_k L_sup(f_k) + λ · (H(f_1(x), argmax f_2(x)) + H(f_2(x), argmax f_1(x))), x labelled and unlabelled crops.

    The first student is validated and exported. The second starts with another classifier, drawn from the run's seed.
    """

    settings = TwoStudentsSettings
    keeps_teacher = False
    terms = ("supervised", "cross")

    def __init__(self, config, student, labelled):
        super().__init__(config, student, labelled)
        self.second = copy.deepcopy(student)
        for module in self.second.classifier.modules():
            if isinstance(module, nn.Conv2d):
                module.reset_parameters()

    def learners(self):
        return {"student": self.student, "second": self.second}

    def losses(self, step: Step) -> dict[str, Tensor]:
        x_l, y_l, _ = self.labelled_view(step)
        both = [self.pass_student(x_l, step.x_u.images, network=f).logits for f in self.learners().values()]
        supervised = sum(self.supervised(logits[: len(x_l)], y_l, step.iteration) for logits in both)
        full = [upsample(logits, y_l.shape[-2:]) for logits in both]
        inside = torch.cat([torch.zeros_like(y_l), step.x_u.without_padding(torch.zeros_like(step.x_u.labels))])
        labels = [logits.argmax(dim=1).where(inside == 0, 255) for logits in full]
        cross = weighted_cross_entropy(full[0], labels[1]) + weighted_cross_entropy(full[1], labels[0])
        return {"loss": supervised + self.options.weight * cross, "supervised": supervised, "cross": cross}
