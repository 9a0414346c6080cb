"""DeepLabv3+ (Chen et al. 2018): atrous spatial pyramid pooling and a decoder at stride 4."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.networks.decoders.base import Decoder
from semiseg.networks.decoders.norm import Norm, norm

LOW_STRIDE = 4  # of the finer map and of V


def _conv_norm_relu(
    inputs: int, outputs: int, kernel: int, kind: Norm, dilation: int = 1, separable: bool = False
) -> nn.Sequential:
    padding = dilation * (kernel - 1) // 2
    if separable:
        convolutions = [
            nn.Conv2d(inputs, inputs, kernel, padding=padding, dilation=dilation, groups=inputs, bias=False),
            nn.Conv2d(inputs, outputs, 1, bias=False),
        ]
    else:
        convolutions = [nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)]
    return nn.Sequential(*convolutions, norm(kind, outputs), nn.ReLU(inplace=True))


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: 1x1, three dilated 3x3 and image pooling, joined by a 1x1.

    Source: DeepLabv3, Chen et al. 2017, "Rethinking atrous convolution", section 3.3. Here the pooled branch
    carries a bias and no BatchNorm: it has one value per image and channel, whose variance over a few images
    is noise and over a batch of one does not exist; GroupNorm it has like the others. Its part of the joining
    1x1 is a matrix of its own, applied before it is spread over the pixels: the same sum for a fraction of the cost.
    """

    def __init__(
        self, inputs: int, outputs: int, dilations: tuple[int, ...], separable: bool, kind: Norm = "batch"
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [_conv_norm_relu(inputs, outputs, 1, kind)]
            + [_conv_norm_relu(inputs, outputs, 3, kind, dilation, separable) for dilation in dilations]
        )
        of_groups = [norm(kind, outputs)] if kind == "group" else []
        self.pooled = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, outputs, 1), *of_groups, nn.ReLU(inplace=True)
        )
        self.join = nn.Conv2d(outputs * len(self.branches), outputs, 1, bias=False)
        self.join_pooled = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.norm = nn.Sequential(norm(kind, outputs), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) → (B, outputs, h, w)."""
        pyramid = self.join(torch.cat([branch(x) for branch in self.branches], dim=1))
        joined: Tensor = self.norm(pyramid + self.join_pooled(self.pooled(x)))
        return joined


class DeepLabV3Plus(Decoder):
    """From the stride-4 map and the last one to V = f_θ⁻(x) at stride 4 (Chen et al. 2018, section 3.1).

    Where the backbone has no map at stride 4, as a transformer, its first one is enlarged to that stride.

    Args:
        channels: widths of the backbone's maps.
        strides: their strides; dilations are 6, 12, 18 where the last is 16 and double at 8.
        width: of the pyramid and of V; the paper's is 256, less is faster on a CPU.
        low_width: what the stride-4 map is reduced to.
        separable: depthwise-separable 3x3 convolutions (section 3.1), or plain ones.
        kind: what it normalises with, see :func:`~semiseg.networks.decoders.norm.norm`.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        width: int = 256,
        low_width: int = 48,
        separable: bool = True,
        kind: Norm = "batch",
    ) -> None:
        super().__init__()
        self.enlarge = LOW_STRIDE not in strides
        self.low = 0 if self.enlarge else max(i for i, stride in enumerate(strides) if stride == LOW_STRIDE)
        dilations = tuple(rate * 16 // strides[-1] for rate in (6, 12, 18))
        self.aspp = ASPP(channels[-1], width, dilations, separable, kind)
        self.reduce_low = _conv_norm_relu(channels[self.low], low_width, 1, kind)
        self.refine = nn.Sequential(
            _conv_norm_relu(width + low_width, width, 3, kind, separable=separable),
            _conv_norm_relu(width, width, 3, kind, separable=separable),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def take(self, maps: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
        """The map at stride 4, or the first one enlarged to ⌈size/4⌉, and the last one."""
        low = maps[self.low]
        if self.enlarge:
            # Not -(-a // b): in ONNX division cuts towards zero, which would round down.
            target = [(side + LOW_STRIDE - 1) // LOW_STRIDE for side in size]
            low = F.interpolate(low, size=target, mode="bilinear", align_corners=False)
        return [low, maps[-1]]

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """[low (B, ·, H/4, W/4), last (B, ·, H/s, W/s)] → V (B, width, H/4, W/4)."""
        low, last = maps
        pyramid = F.interpolate(self.aspp(last), size=low.shape[-2:], mode="bilinear", align_corners=False)
        features: Tensor = self.refine(torch.cat([pyramid, self.reduce_low(low)], dim=1))
        return features
