"""DINOv3 as a backbone, on transformers itself with small random configurations."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semiseg.errors import SemisegError, UsageError
from semiseg.networks import SegmentationNetwork, build_network
from semiseg.networks.backbones import dinov3
from semiseg.networks.backbones.dinov3 import Dinov3
from semiseg.networks.backbones.vision_transformer import Size
from semiseg.networks.build import BACKBONES

transformers = pytest.importorskip("transformers")


@pytest.fixture(autouse=True)
def _a_tiny_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dinov3.SIZES, "tiny", Size(width=24, depth=4, heads=2, repository="nobody/nothing"))
    monkeypatch.setitem(BACKBONES, "dinov3:tiny", lambda stride: Dinov3("tiny", stride))


def build(architecture: str = "dpt", pretrained: str | Path = "none") -> SegmentationNetwork:
    torch.manual_seed(0)
    return build_network(architecture, "dinov3:tiny", 3, 16, pretrained, decoder_channels=8)


@pytest.mark.parametrize(
    ("size", "grid"),
    [((64, 64), (4, 4)), ((64, 96), (4, 6)), ((50, 71), (3, 4)), ((56, 40), (4, 3)), ((3, 35), (1, 2))],
)
def test_its_own_grid_is_that_of_the_nearest_multiples_of_16(size: tuple[int, int], grid: tuple[int, int]) -> None:
    backbone = Dinov3("tiny", 8).eval()
    backbone.use_own_grid()
    x = torch.rand(2, 3, *size)
    maps = backbone(x)
    assert [tuple(found.shape) for found in maps] == [(2, 24, *grid)] * 4 and backbone.strides == (16,) * 4
    resized = F.interpolate(x, size=[16 * side for side in grid], mode="bilinear", align_corners=False)
    for found, expected in zip(maps, backbone.net(resized).feature_maps, strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("stride", [8, 16])
def test_or_that_of_the_stride(stride: int) -> None:
    maps = Dinov3("tiny", stride).eval()(torch.rand(2, 3, 50, 71))
    assert [tuple(found.shape) for found in maps] == [(2, 24, -(-50 // stride), -(-71 // stride))] * 4


def test_maps_are_patches_after_the_final_norm_without_class_and_register_tokens() -> None:
    backbone = Dinov3("tiny", 16).eval()
    backbone.use_own_grid()
    with torch.no_grad():
        backbone.net.norm.weight.copy_(torch.linspace(0.5, 2, 24))
        backbone.net.norm.bias.copy_(torch.linspace(-1, 1, 24))
    states: list[torch.Tensor] = []
    for layer in backbone.net.model.layer:
        layer.register_forward_hook(lambda module, inputs, output: states.append(output))
    maps = backbone(torch.rand(2, 3, 48, 80))
    assert len(states) == 4 and states[0].shape == (2, 1 + 4 + 15, 24)
    for found, state in zip(maps, states, strict=True):
        torch.testing.assert_close(found, backbone.net.norm(state)[:, 5:].mT.reshape(2, 24, 3, 5))


def test_training_draws_nothing() -> None:
    backbone = Dinov3("tiny", 16).train()
    state, x = torch.get_rng_state(), torch.rand(1, 3, 48, 32)
    torch.set_rng_state(state)
    one, two = backbone(x), backbone(x)
    assert torch.equal(torch.get_rng_state(), state) and all(map(torch.equal, one, two))


@pytest.mark.parametrize("architecture", ["deeplabv2", "deeplabv3plus", "dpt"])
def test_a_network_trains_on_it(architecture: str) -> None:
    network = build(architecture).train()
    network(torch.rand(2, 3, 32, 48)).logits.square().mean().backward()
    learning = network.backbone_parameters()
    assert learning and all(p.grad is not None and p.grad.any() for p in learning)
    assert {name for name, p in network.backbone.named_parameters() if not p.requires_grad} == {
        "net.embeddings.mask_token"
    }
    stem = {id(p) for p in network.stem_parameters()}
    assert {name for name, p in network.backbone.named_parameters() if id(p) in stem} == {
        f"net.embeddings.patch_embeddings.{kind}" for kind in ("weight", "bias")
    }


def test_sizes_are_rounded_in_onnx_too(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network, free = build().eval(), torch.export.Dim.DYNAMIC
    program = torch.onnx.export(
        network, (torch.rand(2, 3, 64, 96),), dynamo=True, dynamic_shapes=({0: free, 2: free, 3: free},),
        input_names=["x"], verbose=False,
    )  # fmt: skip
    assert program is not None
    program.save(str(tmp_path / "network.onnx"), external_data=False)
    session = runtime.InferenceSession(str(tmp_path / "network.onnx"))
    for size in ((50, 71), (80, 33), (112, 112)):
        x = torch.rand(1, 3, *size)
        for mine, theirs in zip(session.run(None, {"x": x.numpy()}), network(x), strict=True):
            torch.testing.assert_close(torch.from_numpy(mine), theirs, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("naming", ["ours", "published"])
def test_a_file_loads_bit_by_bit_and_another_stops(tmp_path: Path, naming: str) -> None:
    """Published files have the names of the library's first release of it, whose blocks have moved since."""
    source = {name: torch.randn_like(tensor) for name, tensor in Dinov3("tiny", 16).net.state_dict().items()}
    assert "model.layer.0.attention.q_proj.weight" in source
    names = {name: name.removeprefix("model.") if naming == "published" else name for name in source}
    torch.save({names[name]: tensor for name, tensor in source.items()}, tmp_path / "dinov3.pth")
    loaded = build(pretrained=tmp_path / "dinov3.pth").backbone.net.state_dict()
    assert loaded.keys() == source.keys() and all(torch.equal(loaded[name], source[name]) for name in source)

    removed = names["model.layer.3.norm1.bias"]
    torch.save(
        {names[name]: tensor for name, tensor in source.items() if names[name] != removed}, tmp_path / "dinov3.pth"
    )
    with pytest.raises(SemisegError, match=r"do not fit dinov3:tiny: 1 tensors missing.*layer\.3\.norm1\.bias"):
        build(pretrained=tmp_path / "dinov3.pth")


class FromHub(nn.Module):
    """Stands for the library's network where it would ask the hub."""

    @classmethod
    def answer(cls, network: nn.Module) -> object:
        nothing: dict[str, set[str]] = {f"{kind}_keys": set() for kind in ("missing", "unexpected", "mismatched")}
        return lambda *words, **options: (network, nothing)


@pytest.mark.parametrize("cached", [False, True])
def test_a_download_says_once_whose_licence_it_is(
    cached: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub = SimpleNamespace(try_to_load_from_cache=lambda repository, file: "/a/file" if cached else None)
    usual = dinov3.require
    monkeypatch.setattr(
        dinov3, "require", lambda module, *words: hub if module == "huggingface_hub" else usual(module, *words)
    )
    given = Dinov3("tiny", 16).net
    monkeypatch.setattr(type(given), "from_pretrained", FromHub.answer(given))
    with caplog.at_level(logging.WARNING):
        network = build(pretrained="imagenet")
    assert all(map(torch.equal, network.backbone.net.state_dict().values(), given.state_dict().values()))
    said = [record.message for record in caplog.records if "DINOv3 License" in record.message]
    assert len(said) == (0 if cached else 1)
    assert network.backbone.published_at_hand("imagenet") is cached
    assert not network.backbone.published_at_hand("coco")


def test_a_closed_gate_is_one_line_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*words: object, **options: object) -> None:
        raise OSError("You are trying to access a gated repo.\nand more lines")

    monkeypatch.setattr(transformers.DINOv3ViTBackbone, "from_pretrained", closed)
    with pytest.raises(
        SemisegError, match=r"gated repo\.\); accept the licence on https://huggingface.* or "
    ) as caught:
        build(pretrained="imagenet")
    assert "\n" not in str(caught.value)


def test_sizes_are_the_published_ones() -> None:
    """Of ViT-S/16, B and L, 21, 86 and 300 million (Siméoni et al. 2025, Table 2)."""
    with torch.device("meta"):
        counts = {size: sum(p.numel() for p in Dinov3(size, 16).parameters()) for size in ("small", "base", "large")}
    assert {size: count // 10**6 for size, count in counts.items()} == {"small": 21, "base": 85, "large": 303}
    assert list(Dinov3("tiny", 16).config.out_indices) == [1, 2, 3, 4]


def test_a_size_that_is_not_offered_names_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"dinov3:huge is not known.*dinov3:small, dinov3:base, dinov3:large"):
        build_network("dpt", "dinov3:huge", 3, 16, "none")
