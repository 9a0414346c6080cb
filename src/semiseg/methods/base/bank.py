"""The class-wise memory bank of section 3.4 beside a method that learns from pseudo-labels: its loss, module and cost.

``memory_bank`` is one of them, its own pseudo-labels and the bank; ``method.bank=true`` gives it to any other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from semiseg.config.contrastive import ContrastiveConfig
from semiseg.config.read import Config
from semiseg.contrastive import ContrastiveModule
from semiseg.contrastive.cost import contrastive_flops, contrastive_kept
from semiseg.memory_bank import MemoryBank
from semiseg.methods.base.cost import StepCost
from semiseg.methods.base.method import Method
from semiseg.methods.base.step import ParameterGroup, Step, StoredVectors
from semiseg.methods.base.views import LabelledView
from semiseg.networks import Output, SegmentationNetwork
from semiseg.runtime.plugins import method_class

OF_BANK, FILLED = "bank", "bank_share"
"""The term L_contr of an added bank, and the watched share of its places that hold a vector."""


class Banked(Method):
    """A method whose features are drawn to those of a bank: λ_contr · L_contr (eqs. 8 to 11) on top of its own terms.

    The bank takes features of labelled target crops that pass the quality filter, the teacher's where the method keeps
    one, otherwise the student's of the same step. L_contr compares with it labelled pixels and those unlabelled ones
    whose pseudo-label the method learns from; it rests during the warm-up. Without a weight nothing of it runs.

    Attributes:
        contrast: heads, attention, bank and the loss between them.
        weighs_bank: whether it has a weight.
        fills_from: the first step that fills the bank.
    """

    of_bank: ClassVar[str] = OF_BANK
    filled: ClassVar[str] = FILLED
    in_groups: ClassVar[str] = "bank "
    further_rates = ("heads", "attention")
    contrast: ContrastiveModule

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        options, weight = self.bank_settings(config)
        student.tap = options.tap  # before the teacher is copied from it
        super().__init__(config, student, labelled)
        self.bank_options, self.bank_weight, self.weighs_bank = options, weight, weight > 0
        self.fills_from = self.warmup * options.bank_start if self.weighs_bank else math.inf
        with torch.random.fork_rng([], enabled=self.in_groups != ""):  # what is drawn after it is as without it
            self.contrast = ContrastiveModule(
                options, student.feature_dim, self.num_classes, labelled, config.training.batch_size
            )

    @classmethod
    def bank_settings(cls, config: Config) -> tuple[ContrastiveConfig, float]:
        """The settings of the bank, and λ_contr."""
        return config.method.bank, config.method.bank.weight

    def with_bank(
        self, step: Step, view: LabelledView, student: Output, labels: Tensor, terms: dict[str, Tensor],
        teacher: Output | None = None,
    ) -> dict[str, Tensor]:  # fmt: skip
        """Fill the bank from the labelled crops, then add L_contr: see :meth:`Method.with_bank`."""
        labelled, contrastive = len(view.images), student.logits.new_zeros(())
        if step.iteration >= self.fills_from:
            if not (self.keeps_teacher and self.bank_options.teacher_features):
                source = student
            else:
                source = self.of_teacher(view.images) if teacher is None else teacher
            self.contrast.fill_bank(source.part(slice(labelled)), view.target_labels, step.draws)
        if self.weighs_bank and step.iteration >= self.warmup:
            contrastive = self.contrast.loss(student.features, torch.cat([view.labels, labels]), labelled)
            terms = terms | {"loss": terms["loss"] + self.bank_weight * contrastive}
        share = self.contrast.bank.counts.sum() / (self.num_classes * self.contrast.bank.size)
        return terms | {self.of_bank: contrastive, self.filled: share}

    @torch.no_grad()
    def of_teacher(self, images: Tensor) -> Output:
        """What the teacher gives for images."""
        assert self.teacher is not None
        output: Output = self.teacher(images)
        return output

    def averages(self) -> list[tuple[nn.Module, nn.Module]]:
        """f_ξ follows f_θ, and where they run g_ξ and S_ξ follow g_θ and S_θ (eq. 2)."""
        contrast = self._modules.get("contrast")  # train() runs once before it exists
        if not (isinstance(contrast, ContrastiveModule) and self.weighs_bank):
            return super().averages()
        return [*super().averages(), *contrast.teacher_pairs()]

    def groups(self) -> list[ParameterGroup]:
        c, rates = self.contrast, self.training_config.lr_multipliers
        heads, attention = nn.ModuleList([c.projection, c.prediction]), nn.ModuleList([c.attention_p, c.attention_z])
        of_attention = rates.heads if rates.attention is None else rates.attention
        return [
            *super().groups(),
            ParameterGroup(f"{self.in_groups}heads", list(heads.parameters()), rates.heads),
            ParameterGroup(f"{self.in_groups}attention", list(attention.parameters()), of_attention),
        ]

    def measures(self) -> dict[str, float | None]:
        of_bank = self.contrast.measures() if self.weighs_bank else dict.fromkeys(ContrastiveModule.MEASURED)
        return super().measures() | of_bank

    def remarks(self, measures: Mapping[str, float | None]) -> list[str]:
        keys = "method.bank" if self.in_groups else "method.contrastive"
        return [*super().remarks(measures), *self.contrast.remarks(measures, keys)]

    def distance(self, features: Tensor, height: int) -> Tensor | None:
        return self.contrast.distance(features, height)

    @classmethod
    def stored_vectors(cls, state: Mapping[str, Tensor]) -> StoredVectors | None:
        bank = MemoryBank.from_state(state, "contrast.bank.")
        if bank is None:
            return None
        return StoredVectors(bank.vectors.float(), bank.labels, bank.counts.tolist(), bank.size)

    def cost(self, labelled: int, unlabelled: int) -> StepCost:
        """That of the method, the teacher's pass over labelled crops, heads, attention and distances."""
        step = super().cost(labelled, unlabelled)
        modules = {name: module for name, module in step.modules.items() if module is not self.contrast}
        step = step._replace(modules=modules)
        if not self.weighs_bank:
            return step
        seen = self.keeps_teacher and self.bank_options.teacher_features and not self.teacher_sees_labelled
        return step._replace(
            teacher=step.teacher + labelled * seen,
            modules=modules | {"heads and attention": self.contrast},
            flops=lambda output, size: step.flops(output, size) | contrastive_flops(self.contrast, output, size),
            losses=lambda output, size: step.losses(output, size) + contrastive_kept(self.contrast, output, size),
        )


def method_of(config: Config) -> Any:
    """The class that trains as configured: the method's, with a bank beside it where ``method.bank`` asks for one."""
    found = method_class(config.method.name)
    return with_bank(found) if config.method.bank.enabled and found.takes_bank else found


@cache
def with_bank(method: type[Method]) -> type[Method]:
    """The class of a method with the bank beside it."""
    parts = {
        "terms": (*method.terms, OF_BANK), "watched": (*method.watched, FILLED),
        "measured": (*method.measured, *ContrastiveModule.MEASURED), "__module__": method.__module__,
        "__doc__": method.__doc__,
    }  # fmt: skip
    return type(f"{method.__name__}WithBank", (Banked, method), parts)
