"""Two overlapping crops of an image must agree where they overlap (after Lai et al., CVPR 2021)."""

import torch
from torch import Tensor

from semiseg.config.section import NotNegative, Section
from semiseg.data.windows import Window, common
from semiseg.losses import consistency
from semiseg.methods.base import Method, Needs, Step
from semiseg.methods.base.method import probabilities


class TwoCropsSettings(Section):
    weight: NotNegative = 1.0
    """Weight of the consistency on the overlap."""


class TwoCrops(Method):
    """L = L_sup + λ · ‖p_1 - p_2‖² on the rectangle that both crops of an unlabelled image show."""

    settings = TwoCropsSettings
    needs = Needs(crops=2, overlap=0.25)
    keeps_teacher = False
    terms = ("supervised", "overlap")

    def losses(self, step: Step) -> dict[str, Tensor]:
        x_l, y_l, _ = self.labelled_view(step)
        x_u = step.x_u
        logits = self.pass_student(x_l, x_u.images).logits
        supervised = self.supervised(logits[: len(x_l)], y_l, step.iteration)

        height, width = x_u.images.shape[-2:]
        first, second = probabilities(logits[len(x_l) :], x_u.images.shape[-2:]).chunk(2)
        windows = [Window(top, left, height, width) for top, left in x_u.corner.tolist()]
        distances = []
        for b in range(len(first)):
            of_first, of_second = common(windows[b], windows[b + len(first)])
            distances.append(consistency(first[b][(None, ..., *of_first)], second[b][(None, ..., *of_second)]))
        overlap = torch.stack(distances).mean()
        return {"loss": supervised + self.options.weight * overlap, "supervised": supervised, "overlap": overlap}
