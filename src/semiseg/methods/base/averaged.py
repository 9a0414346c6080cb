"""Methods whose training asks no teacher anything, with one beside them on request: for comparison."""

from __future__ import annotations

from typing import ClassVar

from semiseg.config.read import Config
from semiseg.config.section import Section
from semiseg.methods.base.cost import StepCost
from semiseg.methods.base.method import Method
from semiseg.networks import SegmentationNetwork
from semiseg.teacher import make_teacher


class AveragedSettings(Section):
    average: bool = False
    """Keep the average of the student's weights beside it (eq. 2, as ``method.teacher`` says): nothing learns from it,
    but averaging alone brings points, and a method with a teacher has that for nothing."""


class Averaged(Method):
    """A method without a teacher; ``average`` gives it one that is validated and saved, and never asked."""

    settings: ClassVar[type[Section]] = AveragedSettings
    keeps_teacher = False

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        super().__init__(config, student, labelled)
        if self.options.average:
            self.teacher = make_teacher(student)

    @classmethod
    def unread(cls, config: Config) -> set[str]:
        method = config.method
        found = super().unread(config)
        if method.settings.average:
            found = {key for key in found if "teacher" not in key}
        found |= {"method.augment.strong", "method.teacher.batch_statistics"}
        balance, augment = method.class_balance, method.augment
        if not ((balance.enabled and balance.after_warmup) or augment.classmix_after_warmup):
            found.add("method.warmup")
        return found

    def cost(self, labelled: int, unlabelled: int) -> StepCost:
        return super().cost(labelled, unlabelled)._replace(teacher=0)
