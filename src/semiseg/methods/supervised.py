"""Supervised training on the labelled images alone: the baseline of every table (eq. 4)."""

from __future__ import annotations

from torch import Tensor

from semiseg.config.read import Config
from semiseg.methods.base import Averaged, Needs, Step
from semiseg.methods.base.stages import supervised_losses


class Supervised(Averaged):
    """L = L_sup (eq. 4) with weak augmentation; unlabelled images are not touched."""

    needs = Needs(unlabelled=False)
    terms = ("supervised",)

    @classmethod
    def unread(cls, config: Config) -> set[str]:
        return super().unread(config) | {"training.passes"}  # it has one part only

    def losses(self, step: Step) -> dict[str, Tensor]:
        return supervised_losses(self, step)


METHOD = Supervised
