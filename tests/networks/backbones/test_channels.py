"""The first convolution on other channels than red, green and blue."""

import pytest
import torch
from torch import nn

from semiseg.errors import UsageError
from semiseg.networks.backbones.base import adapt_channels
from semiseg.networks.build import build_network


def first(network: nn.Module) -> nn.Conv2d:
    return next(module for module in network.modules() if isinstance(module, nn.Conv2d))


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 12])
def test_an_image_of_equal_channels_gives_what_it_gave_if_they_are_a_multiple(channels: int) -> None:
    convolution = nn.Conv2d(3, 8, 3, bias=False)
    kernels = convolution.weight.detach().clone()
    adapt_channels(convolution, channels)
    assert convolution.weight.shape == (8, channels, 3, 3) and convolution.in_channels == channels
    if channels == 1:
        assert torch.equal(convolution.weight[:, 0], kernels.sum(1))
    else:
        for c in range(channels):
            assert torch.allclose(convolution.weight[:, c], kernels[:, c % 3] * 3 / channels)
    if channels in (1, 12):
        grey = torch.rand(1, 1, 5, 5)
        assert torch.allclose(convolution(grey.expand(1, channels, 5, 5)),
                              nn.functional.conv2d(grey.expand(1, 3, 5, 5), kernels), atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet_lite0", "small"])
def test_the_whole_network_takes_them_and_its_state_restores_them(backbone: str) -> None:
    options = {"output_stride": 16, "pretrained": "none", "decoder_channels": 16}
    network = build_network("deeplabv3plus", backbone, 3, channels=5, **options).eval()  # type: ignore[arg-type]
    network.normalise([0.1, 0.2, 0.3, 0.4, 0.5], [0.1] * 5)
    again = build_network("deeplabv3plus", backbone, 3, channels=5, load=False, **options).eval()  # type: ignore[arg-type]
    again.load_state_dict(network.state_dict())
    images = torch.rand(2, 5, 32, 40)
    assert network.channels == 5 and torch.equal(network(images).logits, again(images).logits)
    assert again.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert first(network).weight is network.stem_parameters()[0]


def test_three_channels_change_nothing() -> None:
    states = []
    for words in ({}, {"channels": 3}):
        torch.manual_seed(0)
        states.append(build_network("deeplabv2", "resnet18", 3, pretrained="none", **words).state_dict())  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(*(state.values() for state in states), strict=True))


def test_a_transformer_takes_them() -> None:
    pytest.importorskip("transformers")
    network = build_network("dpt", "dinov2:small", 3, pretrained="none", decoder_channels=16, channels=4).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 4, 42, 42)).logits.shape[:2] == (1, 3)


def test_coco_weights_are_for_colours_alone() -> None:
    with pytest.raises(UsageError, match=r"for red, green and blue alone; set network\.pretrained=imagenet"):
        build_network("deeplabv2", "resnet101", 3, pretrained="coco", load=False, channels=4)
