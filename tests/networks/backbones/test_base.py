"""What all backbones promise: maps at their strides, a stem and recomputation that changes nothing."""

import pytest
import torch
from torch import nn

from semiseg.networks.backbones.base import Backbone, first_convolution
from semiseg.networks.build import BACKBONES

SHIPPED = ("resnet18", "resnet50", "efficientnet_lite0")


class Coarse(Backbone):
    """Two maps at strides 8 and 16 by patches, with a norm after the first convolution where ``norm`` is set."""

    channels, strides = (6, 10), (8, 16)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.5, 0.5)

    name = "coarse"

    def __init__(self, norm=True):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))  # ahead of the first convolution, and no part of the stem
        self.first = nn.Conv2d(3, 6, 8, 8)
        self.act = nn.ReLU()
        self.norm = nn.BatchNorm2d(6) if norm else nn.Identity()
        self.second = nn.Conv2d(6, 10, 2, 2)

    def forward(self, x):
        fine = self.act(self.norm(self.first(x * self.scale)))
        return [fine, self.second(fine)]

    def stem_parameters(self):
        return first_convolution(self)


@pytest.mark.parametrize("stride", [8, 16, 32])
@pytest.mark.parametrize("name", SHIPPED)
def test_maps_have_the_channels_and_strides_that_are_said(name, stride):
    backbone = BACKBONES[name](stride).eval()
    assert backbone.name == name and backbone.strides == tuple(min(s, stride) for s in (4, 8, 16, 32))
    with torch.no_grad():
        maps = backbone(torch.rand(1, 3, 96, 64))
    expected = [(1, c, 96 // s, 64 // s) for c, s in zip(backbone.channels, backbone.strides, strict=True)]
    assert [tuple(found.shape) for found in maps] == expected


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("resnet18", ["conv1.weight", "bn1.weight", "bn1.bias"]),
        ("resnet50", ["conv1.weight", "bn1.weight", "bn1.bias"]),
        ("efficientnet_lite0", ["conv_stem.weight", "bn1.weight", "bn1.bias"]),
    ],
)
def test_the_stem_is_the_first_convolution_and_its_norm(name, stem):
    assert stem_of(BACKBONES[name](16)) == stem


def test_a_stem_without_a_norm_is_the_convolution_alone():
    assert stem_of(Coarse()) == ["first.weight", "first.bias", "norm.weight", "norm.bias"]
    assert stem_of(Coarse(norm=False)) == ["first.weight", "first.bias"]
    assert first_convolution(nn.Linear(2, 2)) == []


def stem_of(backbone):
    names = {id(p): name for name, p in backbone.named_parameters()}
    return [names[id(p)] for p in backbone.stem_parameters()]


@pytest.mark.parametrize("make", [Coarse, *(BACKBONES[name] for name in ("resnet18", "efficientnet_lite0"))])
def test_recomputation_keeps_less_and_changes_nothing(make):
    x, found = torch.rand(2, 3, 64, 64), []
    for recompute in (False, True):
        torch.manual_seed(0)
        backbone, kept = make().train(), []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, kept=kept: kept.append(t.numel()) or t, lambda t: t):
            maps = backbone.maps(x, recompute)
        sum(found.square().mean() for found in maps).backward()
        gradients = [p.grad for p in backbone.parameters()]
        found.append((sum(kept), [*maps, *gradients, *backbone.state_dict().values()]))
    (plain, tensors), (saving, same) = found
    assert saving < plain and all(torch.equal(a, b) for a, b in zip(tensors, same, strict=True))


@pytest.mark.parametrize("make", [Coarse, *(BACKBONES[name] for name in ("resnet18", "efficientnet_lite0"))])
def test_the_modules_that_are_computed_again_run_twice_and_no_other(make):
    backbone = make().train()
    again, runs = backbone.recomputed_modules(), {}
    for module in backbone.modules():
        module.register_forward_pre_hook(lambda module, _: runs.update({module: runs.get(module, 0) + 1}))
    sum(found.mean() for found in backbone.maps(torch.rand(2, 3, 64, 64), True)).backward()
    inside = {m for module in again for m in module.modules()}
    assert {runs[m] for m in again} == {2}
    assert {count for module, count in runs.items() if module not in inside} <= {1}
