"""Two crops of one image must agree where they overlap (after context-aware consistency, Lai et al., CVPR 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from semiseg.config.section import NotNegative, Section
from semiseg.data.windows import Window, common
from semiseg.methods.base import Batch, Method, Needs, Step, probabilities
from semiseg.runtime.distributed import mean


class OverlapWeights(Section):
    supervised: NotNegative = 1.0
    """Weight of the labelled crops' cross-entropy."""
    consistency: NotNegative = 1.0
    """Weight of the squared distance on the overlap."""


class OverlapSettings(Section):
    weights: OverlapWeights = OverlapWeights()


class Overlap(Method):
    """L = L_sup + λ · mean ‖p_1 - p_2‖² over the pixels that two crops of an unlabelled image share."""

    settings = OverlapSettings
    needs = Needs(crops=2, overlap=0.25)
    keeps_teacher = False
    terms = ("supervised", "consistency")

    def losses(self, step: Step) -> dict[str, Tensor]:
        x_l, y_l, _ = self.labelled_view(step)
        x_u = step.x_u
        logits_l, logits_u = self.pass_student(x_l, x_u.images).logits.tensor_split([len(x_l)])
        supervised = self.supervised(logits_l, y_l, step.iteration)
        consistency = disagreement(probabilities(logits_u, x_u.images.shape[-2:]), x_u)
        loss = self.options.weights.supervised * supervised + self.options.weights.consistency * consistency
        return {"loss": loss, "supervised": supervised, "consistency": consistency}


def disagreement(p: Tensor, crops: Batch) -> Tensor:
    """Squared distance of p (2·B, C, H, W) on the overlaps of B pairs, mean over their pixels without padding."""
    pairs = len(p) // 2  # all first crops, then all second ones
    windows = [Window(top, left, *p.shape[-2:]) for top, left in crops.corner.tolist()]
    distances = []
    for i, j in zip(range(pairs), range(pairs, 2 * pairs), strict=True):
        one, two = common(windows[i], windows[j])
        distance = (p[i][(..., *one)] - p[j][(..., *two)]).square().sum(dim=0)
        distances.append(distance[crops.inside[i][one]])
    of_pixels = torch.cat(distances)
    # The overlaps of another process have another size: divide by the mean, as if all were one batch.
    return of_pixels.sum() / mean(of_pixels.new_tensor(len(of_pixels))).clamp_min(1)
