"""Supervised training on the labelled images alone: the baseline of every table (eq. 4)."""

from __future__ import annotations

import torch
from torch import Tensor

from semiseg.methods.base import Batch, Method


class Supervised(Method):
    """L = L_sup (eq. 4) with weak augmentation; unlabelled images are not touched."""

    needs_unlabelled = False
    needs_teacher = False

    def step(
        self, labelled: Batch, unlabelled: Batch | None, iteration: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        images, labels, _ = self.weak_view(labelled, iteration, generator)
        self.counts.update(labels)
        loss = self.supervised(self.student(images).logits, labels, iteration)
        return {"loss": loss, "supervised": loss}
