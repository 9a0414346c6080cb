"""What a run is made of: rounds, stages and the crops of their steps."""

from __future__ import annotations

from typing import NamedTuple

from semiseg.config.read import Config
from semiseg.cost.step import meta_method


class RunCount(NamedTuple):
    """What a run is made of; a step is all that lies between two of the optimiser's.

    Attributes:
        crops: that the student sees with gradients in a step of the method, the joint batch: labelled ones and every
            unlabelled view.
        rounds: of the method, mostly one.
        first_stage: supervised steps before them (``method.stages``), each of which takes as long as one of supervised.
        first_crops: that the student sees in one of those.
    """

    crops: int
    rounds: int = 1
    first_stage: int = 0
    first_crops: int = 0

    def all_crops(self, iterations: int) -> int:
        """Crops that the student is trained on in the first ``iterations`` steps."""
        first = min(self.first_stage, iterations)
        return first * self.first_crops + (iterations - first) * self.crops


def count_run(config: Config, num_classes: int) -> RunCount:
    """Crops, rounds and stages of a configuration, before it is run; C makes no difference to them.

    Raises:
        SemisegError: the network cannot be built, as by ``build_network``.
    """
    method, step = meta_method(config, num_classes)
    t = config.training
    rounds = len(method.rounds(t.iterations - method.first_stage))
    return RunCount(sum(step.student) * t.accumulation, rounds, method.first_stage, t.batch_size * t.accumulation)
