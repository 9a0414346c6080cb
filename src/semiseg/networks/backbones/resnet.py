"""ResNet-18/34/50/101 (He et al. 2016) as dense feature extractors, with torchvision's parameter names."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from semiseg.networks.activation_checkpointing import recomputed_blocks

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN = (122.67891434 / 255, 116.66876762 / 255, 104.00698793 / 255)  # RGB; Caffe counts 0 to 255
CAFFE_STD = (1 / 255, 1 / 255, 1 / 255)

Variant = Literal["torchvision", "caffe"]
VARIANTS: tuple[Variant, ...] = ("torchvision", "caffe")


def _conv3x3(inputs: int, outputs: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; ``before`` is the dilation ahead of the stride, ``dilation`` that behind it."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, before: int, dilation: int) -> None:
        super().__init__()
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

    def __init__(self, inputs: int, width: int, stride: int, before: int, dilation: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.stride, self.before, self.dilation = stride, before, dilation
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride, before)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, outputs, stride)

    def follow(self, variant: Variant) -> None:
        """Puts the stride, and the dilation behind it, where weights of this variant have them."""
        stride1, stride3 = (self.stride, 1) if variant == "caffe" else (1, self.stride)
        dilation = self.dilation if variant == "caffe" else self.before
        self.conv1.stride, self.conv2.stride = (stride1, stride1), (stride3, stride3)
        self.conv2.dilation = self.conv2.padding = (dilation, dilation)

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

    Two variants share all names and shapes, and weights of one are of little use in the other: torchvision's has
    the stride of a bottleneck in its 3x3; Caffe's (the first ResNets, DeepLab's COCO weights) has it in the first
    1x1, rounds up after the max pooling and wants BGR.

    Args:
        name: a key of ``LAYERS``.
        output_stride: 8, 16 or 32 pixels a feature.
        variant: ``"torchvision"`` or ``"caffe"``.

    Attributes:
        mean, std: the normalisation that weights of this variant expect, RGB, of images in [0, 1].
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, name: str, output_stride: int = 32, variant: Variant = "torchvision") -> None:
        super().__init__()
        self.recompute = False  # activation checkpointing, block by block
        block, depths = LAYERS[name]
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)

        reached, before, inputs = 4, 1, 64
        for number, (depth, width, stride) in enumerate(zip(depths, (64, 128, 256, 512), (1, 2, 2, 2), strict=True), 1):
            dilation = before
            if stride == 2 and reached == output_stride:
                stride, dilation = 1, before * 2
            reached *= stride
            first = block(inputs, width, stride, before, dilation)
            inputs = width * block.expansion
            rest = [block(inputs, width, 1, dilation, dilation) for _ in range(depth - 1)]
            self.add_module(f"layer{number}", nn.Sequential(first, *rest))
            before = dilation
        self.low_channels, self.channels = 64 * block.expansion, inputs
        self.follow(variant)

        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def follow(self, variant: Variant) -> None:
        """Becomes the network that weights of this variant were trained in; parameters stay as they are."""
        self.variant = variant
        self.mean, self.std = (CAFFE_MEAN, CAFFE_STD) if variant == "caffe" else (IMAGENET_MEAN, IMAGENET_STD)
        self.maxpool.ceil_mode = variant == "caffe"
        for module in self.modules():
            if isinstance(module, Bottleneck):
                module.follow(variant)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, 3, H, W), RGB, normalised → low (B, low_channels, H/4, W/4) and last (B, channels, H/s, W/s).

        s is the output stride; sizes round up. Where ⌈H/2⌉ is even, Caffe's pooling gives one row more, and with it
        the last feature may have one more: 65 for 512 pixels at stride 8.
        """
        if self.variant == "caffe":
            x = x.flip(1)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        low = last = recomputed_blocks(self.layer1, x, self.recompute)
        for layer in (self.layer2, self.layer3, self.layer4):
            last = recomputed_blocks(layer, last, self.recompute)
        return low, last
