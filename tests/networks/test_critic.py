"""The critic of pixels: its layers, any size of crop, and what a pixel's score depends on."""

import pytest
import torch
import torch.nn.functional as F

from semiseg.networks.critic import PixelCritic, one_hot, pad_to_multiple


def test_five_convolutions_and_no_norm() -> None:
    critic = PixelCritic(5)
    shapes = [tuple(p.shape) for p in critic.parameters() if p.ndim == 4]
    assert shapes == [(64, 5, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4), (1, 512, 4, 4)]
    assert sum(p.ndim == 1 for p in critic.parameters()) == 5 and not list(critic.buffers())


@pytest.mark.parametrize("size", [(1, 1), (16, 24), (33, 70), (64, 96)])
def test_any_size_is_scored_pixel_by_pixel(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    maps = torch.rand(2, 3, *size)
    assert PixelCritic(3, width=2)(maps).shape == (2, *size)


def test_by_hand_on_a_size_that_divides() -> None:
    torch.manual_seed(0)
    critic = PixelCritic(3, width=2).double()
    maps = torch.rand(2, 3, 64, 96, dtype=torch.float64)
    weights = list(critic.parameters())
    x = maps
    for number in range(5):
        x = F.conv2d(x, weights[2 * number], weights[2 * number + 1], stride=2, padding=1)
        x = x if number == 4 else torch.where(x > 0, x, 0.2 * x)
    assert x.shape == (2, 1, 2, 3)
    expected = F.interpolate(x, size=(64, 96), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(critic(maps), expected)


def test_scores_stay_where_the_pixels_are() -> None:
    """A crop of 70 columns is seen as the first of 96, and not stretched."""
    torch.manual_seed(0)
    critic, maps = PixelCritic(3, width=2), torch.rand(1, 3, 40, 70)
    padded = pad_to_multiple(maps, 32)
    assert padded.shape == (1, 3, 64, 96) and torch.equal(padded[..., :40, :70], maps)
    assert not padded[..., 40:, :].any() and not padded[..., 70:].any()
    torch.testing.assert_close(critic(maps), critic(padded)[:, :40, :70])


def test_half_precision_ends_in_single() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert PixelCritic(3, width=2)(torch.rand(1, 3, 32, 64)).dtype == torch.float32


def test_a_label_is_one_in_its_channel_and_an_ignored_pixel_nothing() -> None:
    labels = torch.tensor([[[0, 2, 255], [1, 255, 2]]])
    maps = one_hot(labels, 4)
    assert maps.shape == (1, 4, 2, 3) and maps.dtype == torch.float32
    assert maps[0, :, 0, 0].tolist() == [1, 0, 0, 0] and maps[0, :, 1, 2].tolist() == [0, 0, 1, 0]
    assert not maps[0, :, 0, 2].any() and not maps[0, :, 1, 1].any() and maps.sum() == 4
