"""A backbone of four convolutions: too small for pictures, large enough to try a method in a second."""

from __future__ import annotations

from torch import Tensor, nn

from semiseg.networks.backbones.base import Backbone


class FourConvolutions(Backbone):
    """Maps at strides 2, 4, 8 and ``output_stride`` (8 or 16), 4 to 10 channels wide."""

    name = "four_convolutions"
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    channels = (4, 6, 8, 10)

    def __init__(self, output_stride: int) -> None:
        super().__init__()
        self.strides = (2, 4, 8, output_stride)
        self.layers = nn.ModuleList()
        for inside, outside, stride in zip((3, 4, 6, 8), self.channels, (2, 2, 2, output_stride // 8), strict=True):
            convolution = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)
            self.layers.append(nn.Sequential(convolution, nn.BatchNorm2d(outside), nn.ReLU()))

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        return maps

    def stem_parameters(self) -> list[nn.Parameter]:
        return list(self.layers[0].parameters())
