"""Supervised training on the labelled images alone: the baseline of every table (eq. 4)."""

from __future__ import annotations

from torch import Tensor

from semiseg.methods.base import Averaged, Needs, Step


class Supervised(Averaged):
    """L = L_sup (eq. 4) with weak augmentation; unlabelled images are not touched."""

    needs = Needs(unlabelled=False)
    terms = ("supervised",)

    def losses(self, step: Step) -> dict[str, Tensor]:
        x_l, y_l, _ = self.labelled_view(step)
        loss = self.supervised(self.student(x_l).logits, y_l, step.iteration)
        return {"loss": loss, "supervised": loss}


METHOD = Supervised
