"""GroupNorm in the decoder: which layers, which groups, and no image that depends on its batch."""

import pytest
import torch
from torch import Tensor, nn

from semiseg.networks import SegmentationNetwork, build_network
from semiseg.networks.decoders.deeplabv3plus import ASPP
from semiseg.networks.decoders.norm import norm


def build(kind: str, policy: str = "frozen", width: int = 32) -> SegmentationNetwork:
    torch.manual_seed(0)
    return build_network(
        "deeplabv3plus", "resnet18", 4, 16, "none", batch_norm=policy, decoder_norm=kind, decoder_channels=width
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("channels", "groups"), [(256, 16), (128, 8), (64, 4), (48, 3), (40, 2), (24, 1), (16, 1), (7, 1), (37, 1), (1, 1)]
)
def test_groups_are_of_16_channels_or_the_next_larger_size_that_divides(channels: int, groups: int) -> None:
    layer = norm("group", channels)
    assert isinstance(layer, nn.GroupNorm) and (layer.num_groups, layer.num_channels) == (groups, channels)
    assert isinstance(norm("batch", channels), nn.BatchNorm2d)


def test_each_image_and_group_has_mean_0_and_variance_1() -> None:
    x = torch.randn(3, 48, 5, 7, dtype=torch.float64) * 3 + 2
    out = norm("group", 48).double()(x).view(3, 3, -1)
    for given, found in zip(x.view(9, -1), out.view(9, -1), strict=True):
        expected = (given - given.mean()) / (given.var(unbiased=False) + 1e-5).sqrt()
        torch.testing.assert_close(found, expected)


def test_every_norm_of_the_decoder_is_of_the_kind_and_the_pooled_branch_has_one_too() -> None:
    kinds = {kind: [type(m) for m in build(kind).decoder.modules() if "Norm" in type(m).__name__] for kind in
             ("batch", "group")}  # fmt: skip
    assert set(kinds["batch"]) == {nn.BatchNorm2d} and set(kinds["group"]) == {nn.GroupNorm}
    assert len(kinds["group"]) == len(kinds["batch"]) + 1
    aspp = ASPP(8, 32, (2, 3, 4), separable=False, kind="group")
    pooled: Tensor = aspp.pooled[:3](torch.rand(2, 8, 6, 5))
    torch.testing.assert_close(pooled.view(2, 2, 16).mean(2), torch.zeros(2, 2), atol=1e-5, rtol=0)
    assert (pooled.view(2, 2, 16).std(2) > 0.5).all(), "a map of one pixel keeps its pattern"


def test_names_with_batch_norm_are_those_of_earlier_checkpoints() -> None:
    names = set(build("batch").decoder.state_dict())
    assert {"aspp.branches.0.1.running_mean", "aspp.pooled.1.bias", "aspp.norm.0.weight", "reduce_low.1.bias",
            "refine.0.2.weight", "refine.1.2.num_batches_tracked"} <= names  # fmt: skip
    assert not any(name.startswith("aspp.pooled.2") for name in names)
    assert "aspp.pooled.2.weight" in build("group").decoder.state_dict()


@pytest.mark.parametrize("kind", ["batch", "group"])
def test_with_a_frozen_backbone_no_image_depends_on_its_batch(kind: str) -> None:
    network, images = build(kind).train(), torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        together = network(images).logits
        alone = torch.cat([network(image[None]).logits for image in images])
        evaluated = network.eval()(images).logits
    assert torch.allclose(together, alone, atol=1e-4) is (kind == "group")
    assert torch.allclose(together, evaluated, atol=1e-4) is (kind == "group")
