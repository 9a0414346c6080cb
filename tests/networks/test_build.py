"""Backbones by name: those of installed packages, and what is said of names and packages that will not do."""

from importlib.metadata import EntryPoint

import pytest
import torch
from torch import nn

from semiseg.config.read import Config
from semiseg.errors import SemisegError, UsageError
from semiseg.networks import SegmentationNetwork, build_network
from semiseg.networks.backbones.base import Backbone
from semiseg.networks.backbones.resnet import ResNet
from semiseg.networks.build import build_network_of
from semiseg.runtime import plugins


class Coarse(Backbone):
    """What another package might bring: one map only."""

    name = "coarse"
    channels, mean, std = (7,), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self, output_stride):
        super().__init__()
        self.strides = (output_stride,)
        self.convolution = nn.Conv2d(3, 7, output_stride, output_stride)

    def forward(self, x):
        return [self.convolution(x)]

    def stem_parameters(self):
        return list(self.convolution.parameters())


@pytest.fixture(autouse=True)
def _an_installed_package(monkeypatch):
    values = {"coarse": Coarse, "resnet18": Coarse, "linear": lambda stride: nn.Linear(stride, 1)}
    points = {name: EntryPoint(name, "no_such_package_of_backbones", plugins.BACKBONES) for name in (*values, "broken")}
    monkeypatch.setattr(plugins, "installed", lambda group: points if group == plugins.BACKBONES else {})
    load = EntryPoint.load
    monkeypatch.setattr(EntryPoint, "load", lambda point: values.get(point.name) or load(point))


@pytest.mark.parametrize(("architecture", "stride"), [("deeplabv2", 8), ("deeplabv3plus", 4)])
def test_an_installed_backbone_is_found_trains_and_loads(architecture, stride, tmp_path):
    network = build_network(architecture, "coarse", 3, 8, "none", decoder_channels=8).train()
    assert network.feature_stride == stride and network.backbone.strides == (8,)
    for recompute in (False, True):
        network.recompute = recompute
        network(torch.rand(2, 3, 32, 48)).logits.square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())
    state = network.backbone.state_dict()
    torch.save(state, tmp_path / "weights.pth")
    again = build_network(architecture, "coarse", 3, 8, tmp_path / "weights.pth", decoder_channels=8).backbone
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.state_dict().items())
    torch.save({"convolution.bias": state["convolution.bias"]}, tmp_path / "weights.pth")
    with pytest.raises(SemisegError, match=r"do not fit coarse: 1 missing \(convolution\.weight\)"):
        build_network(architecture, "coarse", 3, 8, tmp_path / "weights.pth", decoder_channels=8)


def test_a_backbone_without_published_weights_says_so():
    with pytest.raises(SemisegError, match=r"pretrained=imagenet: no such weights .* coarse; .*=FILE or none"):
        build_network("deeplabv2", "coarse", 3)


def test_names_of_this_package_come_first():
    assert isinstance(build_network("deeplabv2", "resnet18", 3, 16, "none").backbone, ResNet)


def test_an_unknown_name_is_answered_with_the_installed_ones_too():
    with pytest.raises(UsageError, match=r"backbone=corse is not known.*timm:NAME, coarse, .*did you mean coarse\?"):
        build_network("deeplabv2", "corse", 3)


def test_a_package_that_gives_something_else_or_nothing_is_named():
    with pytest.raises(SemisegError, match="backbone=linear gives a Linear and no semiseg"):
        build_network("deeplabv2", "linear", 3)
    with pytest.raises(SemisegError, match="comes from the package no_such_package_of_backbones, which cannot be"):
        build_network("deeplabv2", "broken", 3)


def test_a_configuration_names_its_network():
    words = ["network.architecture=deeplabv3plus", "network.backbone=coarse", "network.decoder_channels=8"]
    network = build_network_of(Config.parse({}, words), 4, pretrained=False)
    assert isinstance(network, SegmentationNetwork)
    assert (network.num_classes, network.feature_dim, network.backbone.strides) == (4, 8, (8,))
