"""Complementary dropout: its factors, and what becomes of a network's maps."""

import pytest
import torch
from fake_networks import pixelwise

from semiseg.networks import build_network
from semiseg.networks.complementary_dropout import Dropped, complementary_masks


def masks(images: int, width: int = 400, dropped: float = 0.5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    found = complementary_masks(images, [width, 7, width], torch.Generator().manual_seed(seed), dropped)
    assert found.keys() == {width, 7} and found[7].shape == (2 * images, 7)
    first, second = found[width].chunk(2)
    return first, second


@pytest.mark.parametrize("images", [1, 2, 3, 8])
def test_both_views_together_keep_every_channel_once(images: int) -> None:
    first, second = masks(images)
    assert torch.equal(first + second, torch.full((images, 400), 2.0))
    whole = (first == 1).all(1)
    assert whole.sum() == images // 2, "half of the images lose nothing, rounded down"
    assert set(first[~whole].unique().tolist()) == {0.0, 2.0}
    assert (first[~whole].mean(1) - 1).abs().max() < 0.2, "with equal chances"


def test_images_differ_and_draws_come_from_the_generator() -> None:
    (one, _), (two, _), (other, _) = masks(8), masks(8), masks(8, seed=1)
    assert torch.equal(one, two) and not torch.equal(one, other)
    lost = one[(one != 1).any(1)]
    assert len(lost.unique(dim=0)) == len(lost) == 4
    chosen = {tuple((masks(8, seed=seed)[0] == 1).all(1).tolist()) for seed in range(6)}
    assert len(chosen) > 1, "which images are whole changes"


@pytest.mark.parametrize(("share", "whole"), [(0, 6), (1, 0), (0.5, 3), (0.75, 1)])
def test_the_share_of_images_that_lose_channels(share: float, whole: int) -> None:
    first, _ = masks(6, dropped=share)
    assert (first == 1).all(1).sum() == whole


def test_a_dropped_channel_has_no_part_and_no_gradient() -> None:
    network, images = pixelwise(5), torch.rand(2, 3, 4, 6)
    low, last = (found.detach().requires_grad_() for found in network.encode(images))
    network.encode = lambda x: [low, last]  # type: ignore[method-assign]
    factors = {4: torch.tensor([[0.0, 2, 0, 2], [1, 1, 1, 1]]), 8: torch.ones(2, 8)}
    output = Dropped(network, factors)(images)
    expected = network.decode([low * factors[4][:, :, None, None], last])
    assert all(map(torch.equal, output, expected))
    output.logits.square().sum().backward()
    assert low.grad is not None
    assert not low.grad[0, ::2].any() and low.grad[0, 1::2].any() and low.grad[1].any()


def test_factors_of_one_are_the_network_itself() -> None:
    network = build_network("dpt", "resnet18", 5, 16, "none", decoder_channels=8).eval()
    images = torch.rand(1, 3, 50, 71)
    whole = complementary_masks(1, network.backbone.channels, torch.Generator(), dropped=0)
    twice = Dropped(network, {width: mask[:1] for width, mask in whole.items()})(images)
    assert all(map(torch.equal, twice, network(images)))
