"""Methods that compare pixels by vectors: a projection head beside the student, its learning rate and its cost."""

from __future__ import annotations

import torch
from torch import Tensor

from semiseg.config.read import Config
from semiseg.contrastive.maps import rows
from semiseg.methods.base.cost import StepCost, plain_losses
from semiseg.methods.base.method import Method
from semiseg.methods.base.step import ParameterGroup
from semiseg.networks import Output, SegmentationNetwork
from semiseg.networks.heads import ProjectionHead
from semiseg.runtime.flops import count_flops
from semiseg.runtime.precision import at_least_single


class Projected(Method):
    """A method with a projection head on the student's features, ``contrastive.dim`` wide."""

    further_rates = ("heads",)

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        super().__init__(config, student, labelled)
        self.projection = ProjectionHead(student.feature_dim, self.options.contrastive.dim)

    def contrasts(self, iteration: int) -> bool:
        """Whether vectors are compared at an iteration: not during the warm-up, nor without a weight."""
        return bool(iteration >= self.warmup and self.options.weights.contrastive > 0)

    def vectors(self, features: Tensor, valid: Tensor) -> Tensor:
        """g(V) of features (B, D, h, w), (B·h·w, dim); only ``valid`` rows (B·h·w,) count for the head's statistics."""
        with torch.autocast(features.device.type, enabled=False):  # batch statistics need single precision
            found: Tensor = self.projection(at_least_single(rows(features)), valid)
            return found

    def groups(self) -> list[ParameterGroup]:
        heads = list(self.projection.parameters())
        return [*super().groups(), ParameterGroup("heads", heads, self.training_config.lr_multipliers.heads)]

    def cost(self, labelled: int, unlabelled: int) -> StepCost:
        def losses(output: Output, size: tuple[int, int]) -> Tensor:
            vectors: Tensor = self.projection(rows(output.features))
            return plain_losses(output, size) + vectors.sum()

        def flops(output: Output, size: tuple[int, int]) -> dict[str, int]:
            vectors = rows(output.features).repeat(2, 1)  # one labelled and one unlabelled image
            return {"head": count_flops(lambda: self.projection(vectors))}

        return super().cost(labelled, unlabelled)._replace(losses=losses, flops=flops)
