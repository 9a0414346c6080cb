"""EfficientNet-Lite0 (Tan and Le 2019; no squeeze-and-excitation, ReLU6) with timm's parameter names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.networks.activation_checkpointing import recomputed_blocks
from semiseg.networks.backbones.base import Blockwise
from semiseg.networks.weights import efficientnet_lite0
from semiseg.networks.weights.files import fill, read

EPS = 1e-3  # the weights were trained with TensorFlow's BatchNorm at 1e-3


class Stage(NamedTuple):
    """One row of EfficientNet-B0's table (Tan and Le 2019, Table 1)."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    depth: int


STAGES = (
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 2),
    Stage(5, 2, 6, 40, 2),
    Stage(3, 2, 6, 80, 3),
    Stage(5, 1, 6, 112, 3),
    Stage(5, 2, 6, 192, 4),
    Stage(3, 1, 6, 320, 1),
)
TAPS = (1, 2, 4, 6)  # the last stage before each stride, and the last of all


class StridedConv2d(nn.Conv2d):
    """A convolution of stride 2 that pads as TensorFlow's "same" does for even sizes: more at lower right.

    The published weights were trained so, and it shows: on street scenes of 224x224 the ImageNet classifier
    gave 60 % of its probability to classes of the street with this padding, 50 % with symmetric padding.
    For odd sizes TensorFlow turns symmetric; this one does not, so that pixels and features keep one
    alignment whatever the size of the image: crops in training are not of the size of whole images.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) → (B, outputs, ⌈h/2⌉, ⌈w/2⌉)."""
        half = self.kernel_size[0] // 2
        return super().forward(F.pad(x, (half - 1, half + 1, half - 1, half + 1)))


def _depthwise(channels: int, kernel: int, stride: int, dilation: int) -> nn.Conv2d:
    if stride == 2:
        return StridedConv2d(channels, channels, kernel, 2, groups=channels, bias=False)
    padding = dilation * (kernel // 2)
    return nn.Conv2d(channels, channels, kernel, 1, padding, dilation, groups=channels, bias=False)


class DepthwiseSeparable(nn.Module):
    """Depthwise convolution and a linear 1x1 projection: the first block, which does not expand."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv_dw = _depthwise(inputs, kernel, stride, dilation)
        self.bn1 = nn.BatchNorm2d(inputs, EPS)
        self.conv_pw = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, EPS)
        self.act = nn.ReLU6(inplace=True)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) → (B, outputs, h/stride, w/stride)."""
        out: Tensor = self.act(self.bn1(self.conv_dw(x)))
        out = self.bn2(self.conv_pw(out))
        return out + x if self.residual else out


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, linear 1x1 projection (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, dilation: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.conv_pw = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width, EPS)
        self.conv_dw = _depthwise(width, kernel, stride, dilation)
        self.bn2 = nn.BatchNorm2d(width, EPS)
        self.conv_pwl = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs, EPS)
        self.act = nn.ReLU6(inplace=True)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) → (B, outputs, h/stride, w/stride)."""
        out: Tensor = self.act(self.bn1(self.conv_pw(x)))
        out = self.act(self.bn2(self.conv_dw(out)))
        out = self.bn3(self.conv_pwl(out))
        return out + x if self.residual else out


class EfficientNetLite0(Blockwise):
    """EfficientNet-Lite0 without its head; dilation takes the place of the strides beyond ``output_stride``.

    The maps are those after stages 1, 2, 4 and 6, at strides 4, 8, 16 and 32, none above ``output_stride``.

    Args:
        output_stride: 8, 16 or 32 pixels a feature. As in ``ResNet``, the features at 8 contain those at 32
            (for sizes that 32 divides; the last of every four, after the padding of ``StridedConv2d``).
    """

    name = "efficientnet_lite0"
    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    channels = tuple(STAGES[tap].channels for tap in TAPS)

    def __init__(self, output_stride: int = 32) -> None:
        super().__init__()
        self.conv_stem = StridedConv2d(3, 32, 3, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(32, EPS)
        self.act = nn.ReLU6(inplace=True)

        reached, before, inputs = 2, 1, 32
        stages: list[nn.Sequential] = []
        strides = []
        for stage in STAGES:
            stride, dilation = stage.stride, before
            if stride == 2 and reached == output_stride:
                stride, dilation = 1, before * 2
            reached *= stride
            blocks: list[nn.Module] = []
            for position in range(stage.depth):
                # The first depthwise convolution holds the stride: it still sees the denser grid's spacing.
                geometry = (stage.kernel, stride, before) if position == 0 else (stage.kernel, 1, dilation)
                if stage.expansion == 1:
                    blocks.append(DepthwiseSeparable(inputs, stage.channels, *geometry))
                else:
                    blocks.append(InvertedResidual(inputs, stage.channels, *geometry, expansion=stage.expansion))
                inputs = stage.channels
            stages.append(nn.Sequential(*blocks))
            before = dilation
            strides.append(reached)
        self.strides = tuple(strides[tap] for tap in TAPS)
        self.blocks = nn.Sequential(*stages)

        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # Kaiming by fan-out, counted per group: a depthwise kernel feeds one channel, not all.
                fan_out = module.weight[0, 0].numel() * module.out_channels // module.groups
                nn.init.normal_(module.weight, 0.0, (2 / fan_out) ** 0.5)

    def forward(self, x: Tensor, recompute: bool = False) -> list[Tensor]:
        """x (B, 3, H, W), normalised → four maps (B, channels[i], ⌈H/strides[i]⌉, ⌈W/strides[i]⌉).

        ``recompute``: see :meth:`maps`.
        """
        x = self.act(self.bn1(self.conv_stem(x)))
        found = []
        for number, stage in enumerate(self._stages()):
            x = recomputed_blocks(stage, x, recompute)
            if number in TAPS:
                found.append(x)
        return found

    def recomputed_modules(self) -> list[nn.Module]:
        """The blocks of all stages."""
        return [block for stage in self._stages() for block in stage]

    def stem_parameters(self) -> list[nn.Parameter]:
        """Those of ``conv_stem`` and ``bn1``."""
        return [*self.conv_stem.parameters(), *self.bn1.parameters()]

    def published_at_hand(self, collection: str) -> bool:
        """Whether the pip package is installed."""
        return collection == "imagenet" and efficientnet_lite0.installed()

    def load_published(self, collection: str) -> dict[str, Tensor]:
        """The ImageNet weights of the pip package that ``semiseg[lite0]`` installs."""
        if collection != "imagenet":
            return super().load_published(collection)
        path = efficientnet_lite0.published_file()
        return self.load_state(read(path), str(path))

    def load_state(self, state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
        """Tensors in timm's names or in those of the pip package; head and classifier are left aside."""
        renamed = efficientnet_lite0.renamed(state, [stage.depth for stage in STAGES])
        fill(self, renamed, self.name, source, efficientnet_lite0.DROPPED)
        return {}

    def _stages(self) -> list[nn.Sequential]:
        return [stage for stage in self.blocks if isinstance(stage, nn.Sequential)]
