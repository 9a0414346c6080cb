"""CutOut consistency (French et al., BMVC 2020): CutMix's plainer sister, with nothing pasted where a box is cut."""

from __future__ import annotations

from torch import Tensor

from semiseg.augment.mixing import cutmix_masks
from semiseg.methods.base import Step
from semiseg.methods.cutmix import CutMix

AREA = (0.0, 1.0)
"""Range of the share of the crop that is cut out (public code)."""


class CutOut(CutMix):
    """L = L_sup + λ_pseudo · r · 1/N Σ_n m_n ‖softmax f_θ(m ⊙ x_u) - softmax f_ξ(x_u)‖²_n.

    m is 0 on one rectangle an image, whose area is uniform in [0, 1], and 1 elsewhere: what the student cannot see is
    not asked of it, and images that show less weigh less, since N counts the cut pixels too. Padding is not among the
    N. r is the share of them whose teacher confidence is above 0.97. A cut pixel has the mean colour of the network's
    normalisation, which is 0 behind it.

    The public code describes boxes of zeros and computes boxes of ones, so that the student sees the rectangle alone;
    the area is as uniform then. Here, as the name has it, the rectangle is what is cut out. What
    ``method.profile=equal`` replaces is what it replaces of ``cutmix``.
    """

    def perturbed(
        self, step: Step, images: Tensor, target: Tensor, inside: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        masks = cutmix_masks(len(images), images.shape[-2], images.shape[-1], step.draws, AREA).to(images.device)
        cut = images.where(~masks[:, None], self.student.mean.to(images.dtype))
        return cut, target, inside, ~masks


METHOD = CutOut
