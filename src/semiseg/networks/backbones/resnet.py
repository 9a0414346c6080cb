"""ResNet-18/34/50/101 (He et al. 2016) as dense feature extractors, with torchvision's parameter names."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from torch import Tensor, nn

from semiseg.errors import SemisegError, UsageError
from semiseg.networks.activation_checkpointing import recomputed_blocks
from semiseg.networks.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Blockwise, Variant
from semiseg.networks.weights import deeplab_coco, downloads
from semiseg.networks.weights.files import fill, read

CAFFE_MEAN = (122.67891434 / 255, 116.66876762 / 255, 104.00698793 / 255)  # RGB; Caffe counts 0 to 255
CAFFE_STD = (1 / 255, 1 / 255, 1 / 255)

ADDRESSES = {
    "resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "resnet34": "https://download.pytorch.org/models/resnet34-b627a593.pth",
    "resnet50": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "resnet101": "https://download.pytorch.org/models/resnet101-63fe2227.pth",
}
DROPPED = ("fc.weight", "fc.bias")  # the ImageNet classifier, of no use to a segmentation network


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


class ResNet(Blockwise):
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

    The maps are those of the four layers, at strides 4, 8, 16 and 32, none above ``output_stride``.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, name: str, output_stride: int = 32, variant: Variant = "torchvision") -> None:
        super().__init__()
        self.name = name
        block, depths = LAYERS[name]
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)

        reached, before, inputs = 4, 1, 64
        strides = []
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
            strides.append(reached)
        self.strides = tuple(strides)
        self.channels = tuple(width * block.expansion for width in (64, 128, 256, 512))
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

    def widen(self, channels: int) -> None:
        """As :meth:`Backbone.widen`; Caffe's variant is for red, green and blue alone, whose order it turns around."""
        if self.variant == "caffe":
            raise UsageError(
                f"the COCO weights of {self.name} are for red, green and blue alone; set network.pretrained=imagenet "
                "for other channels"
            )
        super().widen(channels)

    def forward(self, x: Tensor, recompute: bool = False) -> list[Tensor]:
        """x (B, 3, H, W), RGB, normalised → four maps (B, channels[i], H/strides[i], W/strides[i]).

        Sizes round up. Where ⌈H/2⌉ is even, Caffe's pooling gives one row more, and with it the others may have one
        more: 65 for 512 pixels at stride 8. ``recompute``: see :meth:`maps`.
        """
        if self.variant == "caffe":
            x = x.flip(1)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        found = []
        for layer in self._layers():
            x = recomputed_blocks(layer, x, recompute)
            found.append(x)
        return found

    def recomputed_modules(self) -> list[nn.Module]:
        """The residual blocks."""
        return list(chain(*self._layers()))

    def stem_parameters(self) -> list[nn.Parameter]:
        """Those of ``conv1`` and ``bn1``."""
        return [*self.conv1.parameters(), *self.bn1.parameters()]

    def published_at_hand(self, collection: str) -> bool:
        """Whether the file is in torch.hub's cache."""
        return downloads.at_hand(self._address(collection))

    def load_published(self, collection: str) -> dict[str, Tensor]:
        """torchvision's ImageNet weights or, for resnet101, DeepLab's COCO weights with their classifier."""
        path = downloads.fetch(self._address(collection))
        state = read(path)
        if collection == "coco" and not deeplab_coco.recognised(state):
            raise SemisegError(f"{path} is not DeepLab's file: it has no {deeplab_coco.CLASSIFIER}*; delete it")
        return self.load_state(state, str(path))

    def load_state(self, state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
        """Tensors in torchvision's names or in DeepLab's; the variant becomes that of their network."""
        deeplab = deeplab_coco.recognised(state)
        body, classifier = deeplab_coco.divided(state) if deeplab else (state, {})
        self.follow("caffe" if deeplab else "torchvision")
        fill(self, body, self.name, source, DROPPED)
        return classifier

    def _address(self, collection: str) -> str:
        return ADDRESSES[self.name] if collection == "imagenet" else deeplab_coco.ADDRESS

    def _layers(self) -> tuple[nn.Sequential, ...]:
        return self.layer1, self.layer2, self.layer3, self.layer4
