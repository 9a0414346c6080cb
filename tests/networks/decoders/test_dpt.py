"""DPT against the same sums written out, its pyramid of two kinds of backbones, and the published sizes."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.errors import UsageError
from semiseg.networks import build_network
from semiseg.networks.build import BACKBONES
from semiseg.networks.decoders.dpt import DPT, level_widths

CHANNELS = (24, 24, 24, 24)


def decoder(channels: tuple[int, ...] = CHANNELS, strides: tuple[int, ...] = (14,) * 4, width: int = 10) -> DPT:
    torch.manual_seed(0)
    return DPT(channels, strides, width).double()


def maps(height: int = 3, width: int = 5) -> list[Tensor]:
    g = torch.Generator().manual_seed(1)
    return [torch.randn(2, 24, height, width, generator=g, dtype=torch.float64) for _ in range(4)]


def by_hand(weights: dict[str, Tensor], found: list[Tensor]) -> Tensor:
    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = weights[f"{name}.weight"]
        return F.conv2d(x, weight, weights.get(f"{name}.bias"), stride, weight.shape[-1] // 2)

    def residual(x: Tensor, name: str) -> Tensor:
        return x + conv(F.relu(conv(F.relu(x), f"{name}.first")), f"{name}.second")

    levels = [conv(x, f"project.{i}") for i, x in enumerate(found)]
    for i, factor in ((0, 4), (1, 2)):
        weight = weights[f"resize.{i}.weight"]  # (in, out, factor, factor): each pixel becomes a square of its own
        tiles = torch.einsum("bihw,ioyx->bohywx", levels[i], weight)
        batch, outputs, height, _, width, _ = tiles.shape
        tiles = tiles.reshape(batch, outputs, height * factor, width * factor)
        levels[i] = tiles + weights[f"resize.{i}.bias"].view(-1, 1, 1)
    levels[3] = conv(levels[3], "resize.3", stride=2)
    levels = [conv(x, f"even.{i}") for i, x in enumerate(levels)]
    fused = torch.zeros_like(levels[3])
    for i in (3, 2, 1, 0):
        fused = fused + (levels[3] if i == 3 else residual(levels[i], f"fuse.{i}.of_level"))
        fused = conv(residual(fused, f"fuse.{i}.of_sum"), f"fuse.{i}.out")  # a 1x1 commutes with bilinear weights
        size = levels[i - 1].shape[-2:] if i else [2 * side for side in levels[0].shape[-2:]]
        fused = F.interpolate(fused, size=size, mode="bilinear", align_corners=False)
    return F.relu(conv(fused, "refine.0"))


def test_features_are_the_sums_of_the_paper() -> None:
    dpt, found = decoder(), maps()
    features = dpt(found)
    assert features.shape == (2, 10, 24, 40), "eight times the grid of patches"
    torch.testing.assert_close(features, by_hand(dict(dpt.named_parameters()), found))


def test_every_map_and_every_parameter_has_a_part_in_it() -> None:
    dpt, found = decoder(), [x.requires_grad_() for x in maps()]
    dpt(found).square().sum().backward()
    assert all(x.grad is not None and x.grad.any() for x in found)
    assert all(p.grad is not None and p.grad.any() for p in dpt.parameters())


def test_nothing_normalises_so_that_an_image_is_alone_in_its_batch() -> None:
    dpt, found = decoder().train(), maps()
    assert not [m for m in dpt.modules() if "norm" in type(m).__name__.lower()] and not list(dpt.buffers())
    alone = dpt([x[1:] for x in found])
    torch.testing.assert_close(dpt(found)[1:], alone)


@pytest.mark.parametrize(
    ("channels", "widths"),
    [
        ((384,) * 4, (48, 96, 192, 384)),
        ((768,) * 4, (96, 192, 384, 768)),
        ((1024,) * 4, (256, 512, 1024, 1024)),
        ((64, 128, 256, 512), (64, 128, 256, 512)),
        ((256, 512, 1024, 2048), (256, 512, 1024, 1024)),
        ((24, 40, 112, 320), (24, 40, 112, 320)),
        ((3, 3, 3, 3), (1, 1, 1, 3)),
    ],
)
def test_maps_are_projected_to_the_published_widths_and_never_widened(
    channels: tuple[int, ...], widths: tuple[int, ...]
) -> None:
    assert level_widths(channels) == widths


@pytest.mark.parametrize(
    ("strides", "sides", "stride"),
    [
        ((16, 16, 16, 16), (16, 8, 4, 2), 2.0),
        ((14, 14, 14, 14), (16, 8, 4, 2), 1.75),
        ((4, 8, 16, 16), (16, 8, 4, 2), 2.0),
        ((4, 8, 8, 8), (16, 8, 8, 4), 2.0),
        ((4, 8, 16, 32), (16, 8, 4, 2), 2.0),
    ],
)
def test_the_pyramid_of_a_transformer_and_of_convolutions(
    strides: tuple[int, ...], sides: tuple[int, ...], stride: float
) -> None:
    dpt, seen = decoder(strides=strides), []
    for layer in dpt.even:
        layer.register_forward_hook(lambda _, inputs, output: seen.append(tuple(output.shape[-2:])))
    given = [64 // own if strides[0] == 4 else 4 for own in strides]
    features = dpt([torch.randn(1, 24, side, side, dtype=torch.float64) for side in given])
    assert seen == [(side, side) for side in sides]
    assert dpt.stride == stride and features.shape[-2:] == (32, 32)


def test_the_last_four_of_more_maps_are_taken() -> None:
    dpt = decoder(channels=(7, *CHANNELS), strides=(2, 4, 8, 16, 16))
    taken = dpt.take([torch.zeros(1, 7, 9, 9), *maps()], (99, 99))
    assert len(taken) == 4 and taken[0].shape[1] == 24 and dpt.stride == 2


def test_a_backbone_of_fewer_maps_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match=r"dpt needs 4 feature maps, and this backbone gives 2; .*=deeplabv3plus$"):
        decoder(channels=(24, 24), strides=(4, 8))


@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet_lite0", "small"])
@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("size", [(64, 96), (50, 71)])
def test_convolutional_backbones_of_any_size(backbone: str, stride: int, size: tuple[int, int]) -> None:
    network = build_network("dpt", backbone, 5, stride, "none", decoder_channels=10).eval()
    assert network.feature_stride == BACKBONES[backbone](stride).strides[0] / 2
    logits, features = network(torch.rand(1, 3, *size))
    finest = network.encode(torch.rand(1, 3, *size))[0].shape[-2:]
    assert features.shape == (1, 10, 2 * finest[0], 2 * finest[1]) and logits.shape == (1, 5, *features.shape[-2:])


@pytest.mark.parametrize(
    ("size", "width", "millions"), [("small", 64, 24.8), ("base", 128, 97.5), ("large", 256, 335.6)]
)
def test_parameters_are_as_many_as_published(size: str, width: int, millions: float) -> None:
    """UniMatch V2's logs count one more block, which nothing runs: two 3x3 convolutions on the coarsest level."""
    pytest.importorskip("transformers")
    with torch.device("meta"):
        network = build_network("dpt", f"dinov2:{size}", 21, 16, "none", decoder_channels=width)
        idle = nn.Sequential(*(nn.Conv2d(width, width, 3) for _ in range(2)))
    count = sum(p.numel() for module in (network, idle) for p in module.parameters())
    assert round(count / 1e6, 1) == millions
