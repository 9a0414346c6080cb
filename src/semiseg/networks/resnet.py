"""ResNet-18/34/50/101 (He et al. 2016) as dense feature extractors, with torchvision's parameter names."""

from __future__ import annotations

from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def _conv3x3(inputs: int, outputs: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; ``before`` is the dilation ahead of the stride, ``dilation`` that behind it."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, before: int, dilation: int, stride_in_1x1: bool) -> None:
        super().__init__()  # stride_in_1x1 concerns bottlenecks: this block has no 1x1 convolution
        self.conv1 = _conv3x3(inputs, width, stride, before)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, 1, dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) → (B, width, h/stride, w/stride)."""
        out: Tensor = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1; the stride sits in the 3x3 ("v1.5") or, as in the first ResNets, in the first 1x1."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, before: int, dilation: int, stride_in_1x1: bool) -> None:
        super().__init__()
        outputs = width * self.expansion
        stride1, stride3 = (stride, 1) if stride_in_1x1 else (1, stride)
        self.conv1 = nn.Conv2d(inputs, width, 1, stride1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride3, dilation if stride_in_1x1 else before)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) → (B, 4·width, h/stride, w/stride)."""
        out: Tensor = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


LAYERS: dict[str, tuple[type[BasicBlock | Bottleneck], tuple[int, int, int, int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
}


class ResNet(nn.Module):
    """A ResNet without its classifier; dilation takes the place of the strides beyond ``output_stride``.

    Every kernel behind a removed stride is dilated by it, so that the features at output stride 8, taken at
    every fourth pixel, are exactly those at output stride 32 (Chen et al. 2017, DeepLabv2, section 3.1).

    Args:
        name: a key of ``LAYERS``.
        output_stride: 8, 16 or 32 pixels a feature.
        stride_in_1x1: stride in the first 1x1 of a bottleneck, as in weights that come from Caffe.
        ceil_mode_pool: round the size after the max pooling up, as Caffe does.
    """

    mean, std = IMAGENET_MEAN, IMAGENET_STD
    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(
        self, name: str, output_stride: int = 32, stride_in_1x1: bool = False, ceil_mode_pool: bool = False
    ) -> None:
        super().__init__()
        block, depths = LAYERS[name]
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1, ceil_mode=ceil_mode_pool)

        reached, before, inputs = 4, 1, 64
        for number, (depth, width, stride) in enumerate(zip(depths, (64, 128, 256, 512), (1, 2, 2, 2), strict=True), 1):
            dilation = before
            if stride == 2 and reached == output_stride:
                stride, dilation = 1, before * 2
            reached *= stride
            first = block(inputs, width, stride, before, dilation, stride_in_1x1)
            inputs = width * block.expansion
            rest = [block(inputs, width, 1, dilation, dilation, stride_in_1x1) for _ in range(depth - 1)]
            self.add_module(f"layer{number}", nn.Sequential(first, *rest))
            before = dilation
        self.low_channels, self.channels = 64 * block.expansion, inputs

        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, 3, H, W), normalised → low (B, low_channels, H/4, W/4) and last (B, channels, H/s, W/s).

        s is the output stride; sizes round up.
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        low = self.layer1(x)
        return low, self.layer4(self.layer3(self.layer2(low)))
