"""The corrector: C + 1 outputs at the image's size, of a network of its own that sees image and map."""

from pathlib import Path

import torch
import torch.nn.functional as F
from conftest import tiny

from semiseg.networks.build import build_network_of
from semiseg.networks.corrector import Corrector
from semiseg.networks.segmentation import SegmentationNetwork

CLASSES = 4


def build() -> tuple[SegmentationNetwork, Corrector]:
    torch.manual_seed(0)
    network = build_network_of(tiny(Path("."), Path(".")), CLASSES).eval()
    return network, Corrector(network).eval()


def test_one_output_more_than_classes_by_hand() -> None:
    _, corrector = build()
    images, maps = torch.rand(2, 3, 32, 48), torch.rand(2, CLASSES, 32, 48).softmax(1)
    found = corrector(images, maps)
    joined = images + F.conv2d(maps, corrector.maps.weight, corrector.maps.bias)
    output = corrector.network(joined)
    right = F.conv2d(output.features, corrector.right.weight, corrector.right.bias)
    expected = F.interpolate(torch.cat([output.logits, right], 1), size=(32, 48), mode="bilinear", align_corners=False)
    assert found.shape == (2, CLASSES + 1, 32, 48)
    torch.testing.assert_close(found, expected)


def test_it_sees_the_image_and_the_map() -> None:
    _, corrector = build()
    images, maps = torch.rand(1, 3, 32, 48), torch.rand(1, CLASSES, 32, 48)
    images.requires_grad_()
    maps.requires_grad_()
    corrector(images, maps).square().sum().backward()
    assert images.grad.any() and maps.grad.any()


def test_it_shares_nothing_with_the_student() -> None:
    network, corrector = build()
    assert not {id(p) for p in network.parameters()} & {id(p) for p in corrector.parameters()}
