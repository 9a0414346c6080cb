"""Dropped channels, and the network that decodes with and without them."""

import pytest
import torch
from fake_networks import pixelwise

from semiseg.networks.activation_checkpointing import recomputed
from semiseg.networks.channel_dropout import DecodedTwice, drop_channels


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_whole_channels_of_each_image_are_0_or_as_much_larger() -> None:
    features = 1 + torch.rand(3, 500, 2, 4, generator=seeded())
    dropped = drop_channels(features, 0.2, seeded(1))
    ratio = dropped / features
    gone = ratio == 0
    assert torch.equal(gone, gone[:, :, :1, :1].expand_as(gone)), "whole channels"
    torch.testing.assert_close(ratio[~gone], torch.full_like(ratio[~gone], 1.25))
    assert gone[:, :, 0, 0].float().mean(1).tolist() == pytest.approx([0.2] * 3, abs=0.06)
    assert not torch.equal(gone[0], gone[1]), "each image for itself"
    assert torch.equal(drop_channels(features, 0.0, seeded()), features)


def test_both_decodings_of_one_encoding() -> None:
    torch.manual_seed(0)
    network, images, given = pixelwise(5), torch.rand(2, 3, 8, 12, generator=seeded()), []
    network.decoder.register_forward_pre_hook(lambda _, maps: given.append(maps[0]))
    plain, dropped = (output.logits for output in DecodedTwice(network, 0.5, seed=3)(images))
    (maps,) = given
    for features in maps:
        ratio = (features[2:] / features[:2])[:, :, 0, 0]
        assert len(features) == 4 and set(ratio.unique().tolist()) == {0.0, 2.0}
    torch.testing.assert_close(plain, network(images).logits)
    assert not torch.allclose(plain, dropped)
    again, other = (DecodedTwice(network, 0.5, seed=seed)(images)[1].logits for seed in (3, 4))
    assert torch.equal(again, dropped) and not torch.equal(other, dropped)


def test_activations_computed_again_have_the_same_gaps() -> None:
    torch.manual_seed(0)
    network, images = pixelwise(5), torch.rand(2, 3, 8, 12, generator=seeded())
    gradients = []
    for active in (False, True):
        network.zero_grad()
        both = recomputed(DecodedTwice(network, 0.5, 3), images, active)
        sum(output.logits.square().sum() for output in both).backward()
        gradients.append(network.backbone.layers[0].weight.grad.clone())
    torch.testing.assert_close(gradients[0], gradients[1])
