"""The critic of images: any size, one score an image, and channels left out by the step's own draws."""

import pytest
import torch
import torch.nn.functional as F

from semiseg.networks.image_critic import ImageCritic


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def build(**words: float) -> ImageCritic:
    torch.manual_seed(0)
    return ImageCritic(3, width=2, **words)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(1, 1), (16, 24), (33, 70)])
def test_any_size_has_one_score_and_one_vector_an_image(size: tuple[int, int]) -> None:
    scores, features = build()(torch.rand(2, 3, *size), torch.rand(2, 3, *size), draws())
    assert scores.shape == (2,) and features.shape == (2, 16)


def test_by_hand_without_dropout() -> None:
    critic = build(dropout=0.0).double()
    maps, images = torch.rand(2, 3, 32, 48).double(), torch.rand(2, 3, 32, 48).double()
    x = torch.cat([maps, images], 1)
    for layer in critic.layers:
        x = F.conv2d(x, layer.weight, layer.bias, stride=2, padding=1)
        x = torch.where(x > 0, x, 0.2 * x)
    assert x.shape == (2, 16, 2, 3)
    scores, features = critic(maps, images, draws())
    torch.testing.assert_close(features, x.flatten(2).mean(2))
    torch.testing.assert_close(scores, features @ critic.linear.weight[0] + critic.linear.bias)


def test_an_image_is_scored_by_itself() -> None:
    critic, maps, images = build(dropout=0.0), torch.rand(2, 3, 32, 48), torch.rand(2, 3, 32, 48)
    before = critic(maps, images, draws())[0]
    maps[0] = 0
    after = critic(maps, images, draws())[0]
    assert after[1] == before[1] and after[0] != before[0]


def test_channels_are_left_out_by_the_given_draws_in_training_alone() -> None:
    critic, given = build(), (torch.rand(2, 3, 32, 48), torch.rand(2, 3, 32, 48))
    state = torch.get_rng_state()
    first, again, other = (critic(*given, draws(seed))[1] for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)
    critic.eval()
    assert torch.equal(critic(*given, draws(1))[1], critic(*given, draws(2))[1])
