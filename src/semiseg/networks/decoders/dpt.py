"""DPT (Ranftl et al., "Vision transformers for dense prediction", ICCV 2021), without a single BatchNorm."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.errors import UsageError
from semiseg.networks.decoders.base import Decoder

LEVELS = 4
LARGE, WIDTHS_OF_LARGE = 1024, (256, 512, 1024, 1024)


class DPT(Decoder):
    """Four maps become a pyramid, which is fused from its coarsest level to its finest (Ranftl et al.).

    A transformer's maps all have the stride s of its patches: a 1x1 convolution each, then s/4, s/2, s and 2s by
    transposed and strided convolutions. A convolutional backbone's maps are a pyramid already and keep their strides,
    but for the last one where dilation left it at that of the one before: it is halved as a transformer's.

    The published heads (UniMatch V2, Yang et al. 2024) have half of the widths of the encoder each level finer, and
    those of 1024 their own; what is fused has ``width``. They enlarge with aligned corners; here, as everywhere in this
    package, pixels are aligned by their centres, since windows and whole images differ in size.

    Args:
        channels: widths of the backbone's maps, of which the last four are taken.
        strides: their strides.
        width: of the fused maps and of V.

    Attributes:
        stride: pixels of the image per pixel of V: half of that of the finest level.

    Raises:
        UsageError: there are fewer than four maps.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], width: int = 256) -> None:
        super().__init__()
        if len(channels) < LEVELS:
            raise UsageError(
                f"network.architecture=dpt needs {LEVELS} feature maps, and this backbone gives {len(channels)}; "
                "choose network.architecture=deeplabv3plus"
            )
        channels, strides = channels[-LEVELS:], strides[-LEVELS:]
        widths = level_widths(channels)
        enlarged = [4, 2, 1, 1] if len(set(strides)) == 1 else [1] * LEVELS
        self.stride = strides[0] / enlarged[0] / 2
        self.project = nn.ModuleList(nn.Conv2d(inputs, own, 1) for inputs, own in zip(channels, widths, strict=True))
        self.resize = nn.ModuleList(
            nn.Identity() if factor == 1 else nn.ConvTranspose2d(own, own, factor, factor)
            for own, factor in zip(widths, enlarged, strict=True)
        )
        if strides[-1] == strides[-2]:
            self.resize[-1] = nn.Conv2d(widths[-1], widths[-1], 3, stride=2, padding=1)
        self.even = nn.ModuleList(nn.Conv2d(own, width, 3, padding=1, bias=False) for own in widths)
        self.fuse = nn.ModuleList(Fusion(width, joins=level < LEVELS - 1) for level in range(LEVELS))
        self.refine = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True))

    def take(self, maps: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
        """The last four maps."""
        return list(maps[-LEVELS:])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Four maps (B, channels[i], h_i, w_i) → V (B, width, 2h, 2w), h and w those of the pyramid's finest level."""
        layers = zip(maps, self.project, self.resize, self.even, strict=True)
        pyramid = [even(resize(project(found))) for found, project, resize, even in layers]
        finest = pyramid[0].shape[-2:]
        sizes = [[2 * side for side in finest], *(level.shape[-2:] for level in pyramid[:-1])]
        fused = self.fuse[-1](pyramid[-1], sizes[-1])
        for level in reversed(range(LEVELS - 1)):
            fused = self.fuse[level](fused, sizes[level], pyramid[level])
        features: Tensor = self.refine(fused)
        return features


def level_widths(channels: Sequence[int]) -> tuple[int, ...]:
    """What each of four maps is projected to, the finest first: no map is widened."""
    last = channels[-1]
    widths = WIDTHS_OF_LARGE if last >= LARGE else tuple(last // 2**step for step in reversed(range(LEVELS)))
    return tuple(max(1, min(own, inputs)) for own, inputs in zip(widths, channels, strict=True))


class Fusion(nn.Module):
    """One level of RefineNet without its normalisation: add the level, convolve, enlarge (Ranftl et al.).

    Args:
        width: of all maps.
        joins: whether a level is added; to the coarsest there is nothing to add it to.
    """

    def __init__(self, width: int, joins: bool) -> None:
        super().__init__()
        self.of_level = ResidualConvolutions(width) if joins else None
        self.of_sum = ResidualConvolutions(width)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, size: Sequence[int], level: Tensor | None = None) -> Tensor:
        """x (B, width, h, w), ``level`` alike → (B, width, *size)."""
        if self.of_level is not None:
            x = x + self.of_level(level)
        x = F.interpolate(self.of_sum(x), size=list(size), mode="bilinear", align_corners=False)
        enlarged: Tensor = self.out(x)
        return enlarged


class ResidualConvolutions(nn.Module):
    """Two 3x3 convolutions, each behind a ReLU, beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) → the same shape."""
        change: Tensor = self.second(self.first(x.relu()).relu())
        return x + change
