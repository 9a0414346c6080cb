"""timm's networks as backbones: against a stand-in for timm, and against timm where it can be imported."""

import operator
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from semiseg.errors import SemisegError, UsageError
from semiseg.networks import build_network
from semiseg.networks.backbones.base import first_convolution
from semiseg.networks.backbones.timm import TimmBackbone


class StandIn(nn.Module):
    """A convolution a stage, at strides 2, 4, 8 … as timm's feature extractors give them."""

    def __init__(self, output_stride, strides=(2, 4, 8, 16)):
        super().__init__()
        self.strides = [min(stride, output_stride) for stride in strides]
        before = [1, *self.strides[:-1]]
        widths = [3, *(8 * (index + 1) for index in range(len(strides)))]
        self.stages = nn.ModuleList(
            nn.Conv2d(widths[i], widths[i + 1], 3, self.strides[i] // before[i], padding=1) for i in range(len(strides))
        )
        self.feature_info = SimpleNamespace(reduction=lambda: self.strides, channels=lambda: widths[1:])
        self.pretrained_cfg = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}

    def forward(self, x):
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def create_model(name, *, features_only, output_stride, pretrained):
    assert features_only
    if name == "vit":
        raise TypeError("unexpected keyword argument 'output_stride'")
    network = StandIn(output_stride, (8, 16) if name == "coarse" else (2, 4, 8, 16))
    if pretrained and name != "resnet18.published":
        raise RuntimeError(f"No pretrained weights exist for {name}.\nUse pretrained=False")
    if pretrained:
        for index, parameter in enumerate(network.parameters()):
            nn.init.constant_(parameter, index)
    return network


@pytest.fixture
def stand_in(monkeypatch):
    module = ModuleType("timm")
    names = ["resnet18", "vit", "coarse"]
    module.create_model, module.list_models = create_model, lambda: names
    module.is_model = lambda name: name.partition(".")[0] in names
    monkeypatch.setitem(sys.modules, "timm", module)
    return module


@pytest.fixture(params=["stand-in", "timm"])
def library(request):
    if request.param == "stand-in":
        return request.getfixturevalue("stand_in")
    try:
        return pytest.importorskip("timm", exc_type=ImportError)
    except RuntimeError as error:  # torchvision beside a torch that it was not built for
        return pytest.skip(f"timm cannot be imported: {error}")


def build(architecture="deeplabv2", pretrained="none", name="resnet18", stride=8):
    return build_network(architecture, f"timm:{name}", 3, stride, pretrained, decoder_channels=8)


@pytest.mark.parametrize("stride", [8, 16])
def test_all_features_are_given_with_their_channels_and_strides(library, stride):
    backbone = TimmBackbone("resnet18", stride).eval()
    maps = backbone(torch.rand(2, 3, 64, 96))
    geometry = list(zip(backbone.channels, backbone.strides, strict=True))
    assert [tuple(found.shape) for found in maps] == [(2, c, 64 // s, 96 // s) for c, s in geometry]
    assert len(maps) > 2 and 4 in backbone.strides and backbone.strides[-1] == stride


def test_deeplabv3plus_takes_the_last_map_at_stride_4(library):
    network = build("deeplabv3plus").eval()
    images, strides = torch.rand(1, 3, 32, 48), network.backbone.strides
    maps = network.backbone((images - network.mean) / network.std)
    low = max(i for i, stride in enumerate(strides) if stride == 4)
    assert all(map(torch.equal, network.encode(images), (maps[low], maps[-1])))


def test_the_stem_is_the_first_convolution_and_its_norm(library):
    network = build()
    tensors = 2 if library.create_model is create_model else 3  # the stand-in's has a bias and no norm
    stem, first = network.stem_parameters(), list(network.backbone.net.parameters())[:tensors]
    assert len(stem) == tensors and all(map(operator.is_, stem, first))


class Deep(nn.Module):
    """A stem as timm has them: a norm with its activation inside, frozen here, and a token before all."""

    def __init__(self, norm):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), norm.requires_grad_(False))
        self.blocks = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8))


class NormAct(nn.BatchNorm2d):
    def __init__(self, width):
        super().__init__(width)
        self.act = nn.ReLU()


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(8), NormAct(8), nn.GroupNorm(2, 8)])
def test_a_frozen_norm_belongs_to_the_stem(norm):
    network = Deep(norm)
    assert all(map(operator.is_, first_convolution(network), [network.stem[0].weight, norm.weight, norm.bias]))
    assert len(first_convolution(network)) == 3
    assert len(first_convolution(network.blocks)) == 4 and first_convolution(nn.Linear(2, 2)) == []


@pytest.mark.parametrize("architecture", ["deeplabv2", "deeplabv3plus"])
def test_a_network_trains_on_it(library, architecture):
    network = build(architecture).train()
    network(torch.rand(2, 3, 32, 48)).logits.square().mean().backward()
    learning = network.backbone_parameters()
    assert learning and all(p.grad is not None for p in learning) and any(p.grad.any() for p in learning)


def test_images_are_normalised_as_timm_says(library):
    network = build()
    published = network.backbone.net.pretrained_cfg
    torch.testing.assert_close(network.mean.flatten(), torch.tensor(published["mean"]))
    torch.testing.assert_close(network.std.flatten(), torch.tensor(published["std"]))


def test_a_file_in_timms_names_loads_bit_by_bit_and_another_stops(library, tmp_path):
    source = TimmBackbone("resnet18", 8).net.state_dict()
    for tensor in source.values():
        tensor.copy_(torch.rand(tensor.shape) * 100)
    classifier = {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    torch.save(source | classifier, tmp_path / "weights.pth")
    loaded = build(pretrained=tmp_path / "weights.pth").backbone.net.state_dict()
    assert loaded.keys() == source.keys() and all(torch.equal(loaded[name], source[name]) for name in source)

    removed = next(name for name in source if name.endswith("weight"))
    torch.save({name: tensor for name, tensor in source.items() if name != removed}, tmp_path / "weights.pth")
    said = rf"do not fit timm:resnet18: 1 of {len(source)} tensors are missing or of wrong shape \({removed}\); give"
    with pytest.raises(SemisegError, match=said):
        build(pretrained=tmp_path / "weights.pth")
    torch.save(source | {removed: torch.zeros(1)}, tmp_path / "weights.pth")
    with pytest.raises(SemisegError, match=said):
        build(pretrained=tmp_path / "weights.pth")


def test_names_of_whole_networks_are_those_of_their_features(stand_in, tmp_path):
    source = TimmBackbone("resnet18", 8).net.state_dict()
    torch.save({name.replace("stages.", "stages_"): tensor for name, tensor in source.items()}, tmp_path / "w.pth")
    loaded = build(pretrained=tmp_path / "w.pth").backbone.net.state_dict()
    assert all(torch.equal(loaded[name], source[name]) for name in source)


def test_published_weights_are_timms(stand_in):
    network = build(pretrained="imagenet", name="resnet18.published")
    assert [p.flatten()[0].item() for p in network.backbone.parameters()] == list(range(8))


def test_weights_that_timm_does_not_give_are_one_line_that_says_what_to_do(stand_in):
    with pytest.raises(
        SemisegError, match=r"timm cannot get its weights \(No pretrained.*\); give .*or none$"
    ) as caught:
        build(pretrained="imagenet")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnt18", r"timm has no such network; did you mean timm:resnet18\?"),
        ("vit", r"timm:vit cannot be had at network\.output_stride=8 \(unexpected.*\); choose a convolutional"),
        ("coarse", r"features at strides 8, 8, not at 4 and network\.output_stride=8; choose"),
    ],
)
def test_a_network_that_will_not_do_is_said(stand_in, name, said):
    with pytest.raises(UsageError, match=said):
        build(name=name)


def test_coco_is_not_for_timm(stand_in):
    with pytest.raises(UsageError, match="coco is published for resnet101 alone, not for timm:resnet18"):
        build(pretrained="coco")


def test_without_timm_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SemisegError, match=r'backbone=timm:resnet18 needs timm.*pip install "semiseg\[timm\]"'):
        build()
