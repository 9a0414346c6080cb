"""Networks and image sets whose predictions are known by construction."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from semiseg.data.base import DatasetInfo
from semiseg.networks.backbones.base import Backbone
from semiseg.networks.decoders.base import Decoder
from semiseg.networks.segmentation import SegmentationNetwork

INFO = DatasetInfo("dots", ("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)))


class FakeOutput(NamedTuple):
    logits: Tensor
    features: Tensor


class Colours(nn.Module):
    """The logits are the image's three channels: red, green and blue pixels are classes 0, 1 and 2."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.frozen = nn.BatchNorm2d(3).eval()
        self.batch_sizes: list[int] = []

    def forward(self, images: Tensor) -> FakeOutput:
        assert not self.training and not torch.is_grad_enabled()
        assert images.min() >= 0 and images.max() <= 1
        self.batch_sizes.append(len(images))
        return FakeOutput(images * self.scale, images)


class Strided(nn.Module):
    """A network whose logits are half the size and depend on the neighbourhood."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def forward(self, images: Tensor) -> FakeOutput:
        return FakeOutput(self.conv(images), images)


class Small(Backbone):
    """The backbone of ``tests/old_runs``: four convolutions."""

    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    channels = (4, 6, 8, 10)

    def __init__(self, output_stride: int) -> None:
        super().__init__()
        widths, strides = (3, 4, 6, 8, 10), (2, 2, 2, output_stride // 8)
        self.strides = (2, 4, 8, output_stride)
        for number in range(1, 5):
            convolution = nn.Conv2d(widths[number - 1], widths[number], 3, strides[number - 1], 1, bias=False)
            self.add_module(f"conv{number}", convolution)
            self.add_module(f"bn{number}", nn.BatchNorm2d(widths[number]))

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for number in range(1, 5):
            x = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(x)).relu()
            maps.append(x)
        return maps

    def stem_parameters(self) -> list[nn.Parameter]:
        return [*self.get_submodule("conv1").parameters(), *self.get_submodule("bn1").parameters()]


class Images:
    def __init__(self, pairs: list[tuple[np.ndarray, np.ndarray | None]], info: DatasetInfo = INFO) -> None:
        self.info, self.pairs = info, pairs
        self.names = [f"picture{i}" for i in range(len(pairs))]

    def __len__(self) -> int:
        return len(self.pairs)

    def image(self, i: int) -> np.ndarray:
        return self.pairs[i][0]

    def label(self, i: int) -> np.ndarray | None:
        return self.pairs[i][1]

    def has_label(self, i: int) -> bool:
        return self.pairs[i][1] is not None


def painted(classes: np.ndarray) -> np.ndarray:
    return (np.eye(3, dtype=np.uint8) * 255)[classes]


class Pixels(Backbone):
    """Maps of which every value depends on one pixel: no padding is seen from beside it."""

    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    channels, strides = (4, 6, 7, 8), (1, 1, 1, 1)

    def __init__(self) -> None:
        super().__init__()
        widths = (3, *self.channels)
        self.layers = nn.ModuleList(nn.Conv2d(*pair, 1) for pair in pairwise(widths))

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for layer in self.layers:
            x = layer(x).tanh()
            maps.append(x)
        return maps

    def stem_parameters(self) -> list[nn.Parameter]:
        return list(self.layers[0].parameters())


class Together(Decoder):
    """The first map and the last, pixel by pixel."""

    def __init__(self, low: int, high: int, dim: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(low + high, dim, 1)

    def take(self, maps: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
        return [maps[0], maps[-1]]

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        features: Tensor = self.project(torch.cat(list(maps), dim=1)).tanh()
        return features


def pixelwise(classes: int, dim: int = 9) -> SegmentationNetwork:
    """A whole network without neighbourhoods and statistics, at the image's size."""
    body = Pixels()
    classifier = nn.Conv2d(dim, classes, 1)
    decoder = Together(body.channels[0], body.channels[-1], dim)
    network = SegmentationNetwork(body, decoder, classifier, num_classes=classes, feature_dim=dim, feature_stride=1)
    with torch.no_grad():
        classifier.weight.mul_(20)  # confidences of all sizes
    return network
