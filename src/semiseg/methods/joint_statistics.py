"""Supervised training whose BatchNorm sees the unlabelled images too: the cheapest use of them, and a baseline."""

from __future__ import annotations

from torch import Tensor

from semiseg.augment.weak_strong import augment
from semiseg.methods.base import Averaged, Needs, Step


class JointStatistics(Averaged):
    """L = L_sup (eq. 4), labelled and unlabelled crops in one batch.

    The unlabelled crops take part in the mean and variance of every BatchNorm layer and in nothing else: no teacher, no
    pseudo-labels, no loss of their own. Statistics of both are what Li et al. (AdaBN, 2017) adapt a trained network
    with; here they are there from the first step. Without BatchNorm, as with ``network.batch_norm=frozen`` and
    ``network.decoder_norm=group``, this is ``supervised`` at a higher price.
    """

    needs = Needs(context=True)
    terms = ("supervised",)

    def losses(self, step: Step) -> dict[str, Tensor]:
        x_l, y_l, _ = self.labelled_view(step)
        crops = step.x_u
        x_u, _, _ = augment(crops.images, crops.labels, None, self.views.weak_set, step.draws, context=crops.context)
        logits = self.pass_student(x_l, x_u).logits
        loss = self.supervised(logits[: len(x_l)], y_l, step.iteration)
        return {"loss": loss, "supervised": loss}


METHOD = JointStatistics
