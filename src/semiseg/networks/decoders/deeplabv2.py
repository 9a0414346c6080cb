"""DeepLabv2 (Chen et al. 2017): a sum of dilated convolutions straight from backbone features to classes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from semiseg.networks.decoders.base import Decoder

DILATIONS = (6, 12, 18, 24)
DILATIONS_REFERENCE = (6, 12)  # the authors' code returns after two of its four branches


class LastMap(Decoder):
    """No decoder at all: V is the backbone's last map."""

    def take(self, maps: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
        """The last map."""
        return [maps[-1]]

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """[last (B, D, h, w)] → last."""
        return maps[0]


class DilatedClassifier(nn.Module):
    """Parallel dilated 3x3 convolutions with bias, summed into logits (Chen et al. 2017, section 3.2).

    Args:
        channels: width D of the features.
        num_classes: C.
        dilations: one branch each.
    """

    def __init__(self, channels: int, num_classes: int, dilations: tuple[int, ...] = DILATIONS) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, num_classes, 3, padding=dilation, dilation=dilation) for dilation in dilations
        )
        for branch in self.branches:
            assert isinstance(branch, nn.Conv2d) and branch.bias is not None
            nn.init.normal_(branch.weight, 0.0, 0.01)
            nn.init.zeros_(branch.bias)

    def forward(self, features: Tensor) -> Tensor:
        """features (B, D, h, w) → logits (B, C, h, w)."""
        first, *others = self.branches
        logits: Tensor = first(features)
        for branch in others:
            logits = logits + branch(features)
        return logits
