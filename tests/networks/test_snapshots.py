"""Earlier states of a network: which are kept, how they are mixed, and that a resume has them."""

import pytest
import torch
from fake_networks import pixelwise
from torch import Tensor

from semiseg.networks.snapshots import Snapshots

IMAGES = torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))


def answering(*classes: int, size: int = 3) -> Snapshots:
    """States that are sure of a class everywhere, kept one after the other."""
    network = pixelwise(5)
    kept = Snapshots(network, size)
    for c in classes:
        with torch.no_grad():
            network.classifier.weight.zero_()
            network.classifier.bias.copy_(torch.eye(5)[c])
        kept.store(network)
    return kept


def pixel(kept: Snapshots, seed: int, most: int) -> Tensor:
    logits = kept(IMAGES, torch.Generator().manual_seed(seed), most)
    assert logits.shape == (2, 5, 4, 6) and not logits.requires_grad
    return logits[1, :, 2, 3]


def test_the_newest_take_the_place_of_the_oldest() -> None:
    assert len(answering()) == 0
    for stored, present in ((2, {0, 1}), (3, {0, 1, 2}), (4, {1, 2, 3}), (5, {2, 3, 4})):
        kept = answering(*range(stored))
        seen = {int(pixel(kept, seed, most=1).argmax()) for seed in range(40)}
        assert seen == present and len(kept) == len(present) and kept.stored == stored


def test_one_to_most_of_them_by_weights_uniform_on_the_simplex() -> None:
    kept = answering(0, 1, 2, 3, size=4)
    weights = torch.stack([pixel(kept, seed, most=3) for seed in range(1500)])
    torch.testing.assert_close(weights.sum(1), torch.ones(1500))
    assert (weights[:, :4] >= 0).all() and not weights[:, 4].any()
    count = (weights > 0).sum(1)
    assert (count.bincount(minlength=5)[1:] / 1500).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0], abs=0.04)
    largest = weights[count == 2].amax(1)
    assert largest.mean().item() == pytest.approx(0.75, abs=0.02), "the larger part of a broken stick"
    assert (weights[count == 1].amax(1) == 1).all()
    assert weights.mean(0)[:4].tolist() == pytest.approx([0.25] * 4, abs=0.03)


def test_a_state_has_them_all_and_how_many_there_were() -> None:
    kept = answering(0, 1, 2, 3)
    other = Snapshots(pixelwise(5), 3)
    other.load_state_dict(kept.state_dict())
    for seed in range(8):
        assert torch.equal(pixel(kept, seed, 3), pixel(other, seed, 3))
    network = pixelwise(5)
    for both in (kept, other):
        both.store(network)
    assert all(torch.equal(a, b) for a, b in zip(kept.state_dict().values(), other.state_dict().values(), strict=True))


def test_they_follow_nobody_and_learn_nothing() -> None:
    network = pixelwise(5)
    kept = Snapshots(network, 2)
    kept.store(network)
    before = pixel(kept, 0, 1)
    with torch.no_grad():
        network.classifier.bias.add_(1)
    assert torch.equal(pixel(kept, 0, 1), before)
    assert not any(p.requires_grad for p in kept.parameters())
    assert not any(module.training for module in kept.train().modules())
