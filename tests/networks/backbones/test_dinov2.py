"""DINOv2 as a backbone: against a stand-in for transformers, and against transformers where it is installed."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semiseg.errors import SemisegError, UsageError
from semiseg.networks import build_network
from semiseg.networks.backbones import dinov2
from semiseg.networks.backbones.dinov2 import Dinov2
from semiseg.networks.backbones.vision_transformer import Size
from semiseg.networks.build import BACKBONES

TINY = Size(width=24, depth=4, heads=2, repository="not a repository")


class StandIn(nn.Module):
    """A linear map of the patches per block, with transformers' names and calls."""

    def __init__(self, config):
        super().__init__()
        self.config, width = config, config.hidden_size
        self.embeddings = nn.Module()
        self.embeddings.mask_token = nn.Parameter(torch.zeros(1, width))
        self.embeddings.projection = nn.Conv2d(3, width, config.patch_size, config.patch_size)
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(config.num_hidden_layers))

    def forward(self, x):
        assert x.shape[2] % self.config.patch_size == x.shape[3] % self.config.patch_size == 0
        states = [self.embeddings.projection(x)]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return SimpleNamespace(feature_maps=tuple(states[i] for i in self.config.out_indices))

    @classmethod
    def from_pretrained(cls, repository, *, config, state_dict, output_loading_info):
        if state_dict is None:
            raise OSError(f"{repository} is not a local folder\nand more lines")
        network = cls(config)
        names, given = set(network.state_dict()), set(state_dict)
        network.load_state_dict(state_dict, strict=False)
        return network, {"missing_keys": names - given, "unexpected_keys": given - names, "mismatched_keys": set()}


@pytest.fixture(autouse=True)
def _a_tiny_size(monkeypatch):
    monkeypatch.setitem(dinov2.SIZES, "tiny", TINY)
    monkeypatch.setitem(BACKBONES, "dinov2:tiny", lambda stride: Dinov2("tiny", stride))


@pytest.fixture(params=["stand-in", "transformers"])
def library(request, monkeypatch):
    if request.param == "transformers":
        return pytest.importorskip("transformers")
    module = ModuleType("transformers")
    module.Dinov2Config, module.Dinov2Backbone = SimpleNamespace, StandIn
    monkeypatch.setitem(sys.modules, "transformers", module)
    return module


def build(architecture="deeplabv2", pretrained="none", stride=16):
    return build_network(architecture, "dinov2:tiny", 3, stride, pretrained, decoder_channels=8)


@pytest.mark.parametrize("stride", [8, 16])
def test_features_lie_on_the_grid_of_the_stride(library, stride):
    backbone = Dinov2("tiny", stride).eval()
    for height, width in ((64, 96), (50, 71)):
        maps = backbone(torch.rand(2, 3, height, width))
        assert [tuple(found.shape) for found in maps] == [(2, 24, -(-height // stride), -(-width // stride))] * 4
    assert (backbone.channels, backbone.strides) == ((24,) * 4, (stride,) * 4)


@pytest.mark.parametrize(
    ("size", "grid"),
    [((56, 56), (4, 4)), ((56, 84), (4, 6)), ((50, 71), (4, 5)), ((48, 34), (3, 2)), ((3, 35), (1, 3))],
)
def test_its_own_grid_is_that_of_the_nearest_multiples_of_14(library, size, grid):
    backbone = Dinov2("tiny", 16).eval()
    backbone.use_own_grid()
    x = torch.rand(2, 3, *size)
    maps = backbone(x)
    assert [tuple(found.shape) for found in maps] == [(2, 24, *grid)] * 4 and backbone.strides == (14,) * 4
    resized = F.interpolate(x, size=[14 * side for side in grid], mode="bilinear", align_corners=False)
    assert size[0] % 14 or size[1] % 14 or torch.equal(resized, x), "a multiple is left as it is"
    for found, expected in zip(maps, backbone.net(resized).feature_maps, strict=True):
        assert torch.equal(found, expected)


def test_maps_are_patches_after_the_final_norm_without_the_class_token():
    transformers = pytest.importorskip("transformers")
    backbone = Dinov2("tiny", 16).eval()
    backbone.use_own_grid()
    whole = transformers.Dinov2Model(backbone.config).eval()
    whole.load_state_dict(backbone.net.state_dict())
    for norm in (backbone.net.layernorm, whole.layernorm):
        norm.weight.data, norm.bias.data = torch.linspace(0.5, 2, 24), torch.linspace(-1, 1, 24)
    x = torch.rand(2, 3, 42, 70)
    states = whole(x, output_hidden_states=True).hidden_states
    for found, block in zip(backbone(x), (1, 2, 3, 4), strict=True):
        patches = whole.layernorm(states[block])[:, 1:]
        torch.testing.assert_close(found, patches.mT.reshape(2, 24, 3, 5))


@pytest.mark.parametrize("stride", [8, 16])
def test_deeplabv3plus_enlarges_the_first_map_to_stride_4(library, stride):
    network = build("deeplabv3plus", stride=stride).eval()
    images = torch.rand(2, 3, 50, 71)
    first, *_, last = network.backbone((images - network.mean) / network.std)
    low = F.interpolate(first, size=(13, 18), mode="bilinear", align_corners=False)
    assert all(torch.equal(*pair) for pair in zip(network.encode(images), (low, last), strict=True))
    dilations = {m.dilation[0] for m in network.decoder.modules() if isinstance(m, nn.Conv2d)}
    assert dilations == {1, *(rate * 16 // stride for rate in (6, 12, 18))}
    assert network(images).logits.shape[-2:] == (13, 18)


def test_the_stem_is_the_patch_embedding(library):
    network = build()
    stem = {id(p) for p in network.stem_parameters()}
    names = {name for name, p in network.backbone.named_parameters() if id(p) in stem}
    assert len(names) == 2 and all("embeddings." in name and "projection." in name for name in names)


@pytest.mark.parametrize("architecture", ["deeplabv3plus", "dpt"])
def test_sizes_are_rounded_in_onnx_too(tmp_path, architecture):
    pytest.importorskip("transformers")
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network, free = build(architecture).eval(), torch.export.Dim.DYNAMIC
    program = torch.onnx.export(
        network, (torch.rand(2, 3, 64, 96),), dynamo=True, dynamic_shapes=({0: free, 2: free, 3: free},),
        input_names=["x"], verbose=False,
    )  # fmt: skip
    program.save(str(tmp_path / "backbone.onnx"), external_data=False)
    session = runtime.InferenceSession(str(tmp_path / "backbone.onnx"))
    for size in ((50, 71), (77, 34), (112, 112)):
        x = torch.rand(1, 3, *size)
        for mine, theirs in zip(session.run(None, {"x": x.numpy()}), network(x), strict=True):
            torch.testing.assert_close(torch.from_numpy(mine), theirs, atol=1e-4, rtol=1e-3)


def test_maps_come_after_each_quarter_of_the_blocks(library, monkeypatch):
    monkeypatch.setitem(dinov2.SIZES, "deep", TINY._replace(depth=12))
    monkeypatch.setitem(dinov2.SIZES, "deeper", TINY._replace(depth=24))
    assert list(Dinov2("deep", 16).config.out_indices) == [3, 6, 9, 12]
    assert list(Dinov2("deeper", 16).config.out_indices) == [5, 12, 18, 24]
    backbone = Dinov2("tiny", 16).eval()
    assert list(backbone.config.out_indices) == [1, 2, 3, 4]
    x = torch.rand(1, 3, 32, 32)
    before = backbone(x)
    with torch.no_grad():
        for name, parameter in backbone.net.named_parameters():
            if ".3." in name or "layer.3" in name:  # the last block
                parameter.mul_(1.5)
    after = backbone(x)
    assert all(map(torch.equal, after[:3], before[:3])) and not torch.allclose(after[3], before[3])


@pytest.mark.parametrize("architecture", ["deeplabv2", "deeplabv3plus", "dpt"])
def test_a_network_trains_on_it(library, architecture):
    network = build(architecture).train()
    network(torch.rand(2, 3, 32, 48)).logits.square().mean().backward()
    learning = network.backbone_parameters()
    assert learning and all(p.grad is not None and p.grad.any() for p in learning)
    assert {name for name, p in network.backbone.named_parameters() if not p.requires_grad} == {
        "net.embeddings.mask_token"
    }
    torch.testing.assert_close(network.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))


def test_a_file_loads_bit_by_bit_and_another_stops(library, tmp_path):
    source = Dinov2("tiny", 16).net.state_dict()
    for tensor in source.values():
        tensor.normal_()
    torch.save(source, tmp_path / "dinov2.pth")
    loaded = build(pretrained=tmp_path / "dinov2.pth").backbone.net.state_dict()
    assert loaded.keys() == source.keys() and all(torch.equal(loaded[name], source[name]) for name in source)

    removed = next(name for name in source if name.endswith("projection.bias"))
    torch.save({name: tensor for name, tensor in source.items() if name != removed}, tmp_path / "dinov2.pth")
    with pytest.raises(SemisegError, match=rf"do not fit dinov2:tiny: 1 tensors missing.*{removed}"):
        build(pretrained=tmp_path / "dinov2.pth")


def test_names_of_published_files_are_understood(tmp_path):
    """Meta's repositories hold names that newer releases of transformers have changed."""
    pytest.importorskip("transformers")
    ours = Dinov2("tiny", 16).net.state_dict()
    words = {"q_proj": "attention.query", "k_proj": "attention.key", "v_proj": "attention.value"}
    words["o_proj"] = "output.dense"
    published = {}
    for name, tensor in ours.items():
        for new, old in words.items():
            name = name.replace(f"attention.{new}", f"attention.{old}")
        published[name] = tensor.normal_()
    assert "encoder.layer.0.attention.attention.query.weight" in published
    torch.save(published, tmp_path / "dinov2.pth")
    loaded = build(pretrained=tmp_path / "dinov2.pth").backbone.net.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in ours.items())


def test_weights_that_the_hub_does_not_give_are_one_line_that_says_what_to_do(library):
    with pytest.raises(SemisegError, match=r"cannot get not a repository \(.*give network\.pretrained=FILE$") as caught:
        build(pretrained="imagenet")
    assert "\n" not in str(caught.value)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        SemisegError, match=r'backbone=dinov2:small needs transformers.*pip install "semiseg\[dinov2\]"'
    ):
        build_network("deeplabv2", "dinov2:small", 3, 16, "none")


def test_sizes_are_the_published_ones():
    pytest.importorskip("transformers")
    with torch.device("meta"):
        counts = {
            size: sum(p.numel() for p in Dinov2(size, 16).parameters()) for size in dinov2.SIZES if size != "tiny"
        }
    assert counts == {"small": 22_056_576, "base": 86_580_480, "large": 304_368_640}


def test_a_size_that_is_not_offered_names_those_that_are():
    with pytest.raises(UsageError, match=r"dinov2:huge is not known.*dinov2:small, .*dinov2:large, .*timm:NAME"):
        build_network("deeplabv2", "dinov2:huge", 3, 16, "none")
