"""ReCo's loss: closed forms where draws make no difference, the law of large numbers where they do."""

import math

import pytest
import torch
from oracles import info_nce as oracle
from torch import Tensor
from two_processes import of_both

from semiseg.losses import regional_contrast

TEMPERATURE = 0.5


def two_classes() -> tuple[Tensor, Tensor, Tensor]:
    """Eleven vectors: six of class 0, of which four are hard, and three of class 2 of 5, all alike; two of none."""
    g = torch.Generator().manual_seed(0)
    vectors = torch.randn(11, 4, generator=g, dtype=torch.float64)
    labels = torch.tensor([0, 2, 0, 255, 0, 2, 0, 0, 2, 0, -1])
    vectors[labels == 2] = torch.tensor([0.5, -1.0, 0.0, 2.0], dtype=torch.float64)
    hard = torch.ones(11, dtype=torch.bool)
    hard[[4, 7]] = False
    return vectors, labels, hard


def loss(vectors: Tensor, labels: Tensor, hard: Tensor, seed: int = 0, classes: int = 5, negatives: int = 8) -> Tensor:
    return regional_contrast(
        vectors, labels, hard, classes, torch.Generator().manual_seed(seed), 256, negatives, TEMPERATURE
    )


def by_hand(vectors: Tensor, labels: Tensor, hard: Tensor, negatives: int = 8) -> Tensor:
    """Of two classes, where all keys of class 2 are one vector; class 0's queries therefore need no draw."""
    means = {c: vectors[labels == c].detach().mean(0) for c in (0, 2)}
    key = vectors[labels == 2][:1].detach().expand(negatives, -1)
    each = [oracle(vectors[i], means[0], key, TEMPERATURE) for i in range(11) if labels[i] == 0 and hard[i]]
    return torch.stack(each).mean()


def test_hard_pixels_are_told_from_the_other_class_and_nothing_else_has_a_gradient() -> None:
    vectors, labels, hard = two_classes()
    only = hard & (labels == 0)  # class 2 has no hard pixel: it adds nothing and stays in the divisor
    ours, theirs = vectors.clone().requires_grad_(), vectors.clone().requires_grad_()
    found, expected = loss(ours, labels, only), by_hand(theirs, labels, only) / 2
    assert found.item() == pytest.approx(expected.item(), rel=1e-10)
    found.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert (ours.grad.abs().sum(1) > 0).tolist() == only.tolist()  # type: ignore[union-attr]


def test_the_positive_is_the_mean_of_vectors_as_they_are_long() -> None:
    vectors, labels, hard = two_classes()
    vectors = torch.where((labels == 0)[:, None] & (torch.arange(11) < 3)[:, None], 20 * vectors, vectors)
    only = hard & (labels == 0)
    assert loss(vectors, labels, only).item() == pytest.approx(by_hand(vectors, labels, only).item() / 2, rel=1e-10)


def test_the_numbers_of_the_classes_and_classes_that_are_absent_make_no_difference() -> None:
    vectors, labels, hard = two_classes()
    only = hard & (labels == 0)
    found = loss(vectors, labels, only)
    for new, classes in (({0: 2, 2: 0}, 3), ({0: 1, 2: 0}, 2), ({0: 0, 2: 6}, 8)):
        renamed = torch.tensor([new.get(int(c), 255) for c in labels])
        torch.testing.assert_close(loss(vectors, renamed, only, classes=classes), found)


def test_negatives_come_from_other_classes_as_far_as_these_resemble_it() -> None:
    directions = torch.tensor([[1.0, 0, 0], [0.9, 0.3, 0], [-0.2, 0, 1], [9, 9, 9]], dtype=torch.float64)
    directions = torch.nn.functional.normalize(directions, dim=1)
    labels = torch.tensor([0, 1, 1, 1, 2])  # how many there are of a class is no matter
    hard = torch.tensor([True, False, False, False, False])
    found = loss(directions[labels], labels, hard, classes=4, negatives=200_000)
    s = [directions[0] @ directions[c] for c in range(4)]
    powers = [math.exp(x / TEMPERATURE) for x in s]
    chance = powers[1] / (powers[1] + powers[2])
    below = 200_000 * (chance * powers[1] + (1 - chance) * powers[2])
    assert 0.6 < chance < 0.95
    assert found.item() == pytest.approx(-math.log(powers[0] / (powers[0] + below)) / 3, abs=2e-3)


def test_fewer_than_two_classes_and_nothing_hard_are_zero_with_a_gradient_of_zero() -> None:
    vectors, labels, hard = two_classes()
    cases = [(labels.where(labels == 0, 255), hard), (torch.full_like(labels, 255), hard), (labels, hard & False)]
    for some, queries in cases:
        x = vectors.clone().requires_grad_()
        found = loss(x, some, queries)
        found.backward()
        assert found == 0 and x.grad is not None and not x.grad.any()


def test_draws_come_from_the_generator_alone() -> None:
    g = torch.Generator().manual_seed(2)
    vectors, labels = torch.randn(60, 4, generator=g), torch.randint(0, 3, (60,), generator=g)
    hard = torch.ones(60, dtype=torch.bool)
    state = torch.get_rng_state()
    results = [loss(vectors, labels, hard, seed, 3).item() for seed in (0, 0, 1)]
    assert results[0] == results[1] != results[2] and torch.equal(torch.get_rng_state(), state)


def test_two_processes_share_means_keys_and_divisors(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, labels, hard = two_classes()
    only = hard & (labels == 0)
    parts = [[0, 2, 3, 4, 10], [1, 5, 8, 6, 9]]  # all of class 2 in one of them
    joint = [*parts[0], *parts[1]]
    found = of_both(monkeypatch, *(lambda p=p: loss(vectors[p], labels[p], only[p]) for p in parts))
    torch.testing.assert_close(sum(found) / 2, loss(vectors[joint], labels[joint], only[joint]))
    assert all(value > 0 for value in found), "keys come from the other process too"
