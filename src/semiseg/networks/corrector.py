"""A corrector: it sees an image and its segmentation and says of every pixel that it is right, or what it should be."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semiseg.networks.output import upsample
from semiseg.networks.second import begun_anew
from semiseg.networks.segmentation import SegmentationNetwork
from semiseg.runtime.precision import at_least_single


class Corrector(nn.Module):
    """A segmentation network of the student's kind with C + 1 outputs, the last of which means "right".

    A 1×1 convolution brings the map of classes to the channels of the image, to which it is added, so that any backbone
    takes it, pretrained weights included. The further output is a 1×1 convolution of the decoder's features.

    Args:
        network: the student, whose backbone it begins with.
    """

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = begun_anew(network)
        self.maps = nn.Conv2d(network.num_classes, network.channels, 1)
        self.right = nn.Conv2d(network.feature_dim, 1, 1)

    def forward(self, images: Tensor, maps: Tensor) -> Tensor:
        """images (B, channels, H, W), maps (B, C, H, W), both in [0, 1] → logits (B, C + 1, H, W), float32 at least."""
        output = self.network(images + self.maps(maps))
        logits = torch.cat([output.logits, self.right(output.features)], dim=1)
        return at_least_single(upsample(logits, images.shape[-2:]))
