"""Lai et al.'s loss of one direction, place by place."""

import pytest
import torch
from oracles import info_nce as oracle
from torch import Tensor
from two_processes import of_both

from semiseg.losses import directional_contrast

PLACES, KEYS, DIM, TEMPERATURE = 9, 8, 4, 0.2


def case() -> tuple[Tensor, ...]:
    g = torch.Generator().manual_seed(0)
    vectors, others, keys = (torch.randn(n, DIM, generator=g, dtype=torch.float64) for n in (PLACES, PLACES, KEYS))
    keys = torch.nn.functional.normalize(keys, dim=1)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 2, 0, 3])
    directed = torch.tensor([1, 0, 1, 1, 0, 1, 1, 0, 1], dtype=torch.bool)
    return vectors, others, labels, directed, keys, torch.tensor([0, 0, 1, 1, 2, 3, -1, -1])


def test_values_and_gradients_by_hand() -> None:
    vectors, others, labels, directed, keys, key_labels = case()
    ours, theirs = vectors.clone().requires_grad_(), vectors.clone().requires_grad_()
    target = others.clone().requires_grad_()
    found = directional_contrast(ours, target, labels, directed, keys, key_labels, TEMPERATURE)
    each = [
        oracle(theirs[n], others[n], keys[(key_labels >= 0) & (key_labels != labels[n])], TEMPERATURE)
        for n in range(PLACES)
        if directed[n]
    ]
    expected = torch.stack(each).mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    found.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert target.grad is None and not ours.grad[~directed].any()  # type: ignore[index]


def test_without_negatives_or_direction_it_is_zero() -> None:
    vectors, others, labels, directed, keys, key_labels = case()
    for some, chosen in ((torch.full_like(key_labels, -1), directed), (key_labels, directed & False)):
        x = vectors.clone().requires_grad_()
        found = directional_contrast(x, others, labels, chosen, keys, some, TEMPERATURE)
        found.backward()
        assert found == 0 and not x.grad.any()  # type: ignore[union-attr]


def test_half_precision_counts_in_single_and_huge_vectors_stay_finite() -> None:
    vectors, others, labels, directed, keys, key_labels = case()
    words = (labels, directed, keys.float(), key_labels, TEMPERATURE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = directional_contrast(1e4 * vectors.float(), 1e4 * others.float(), *words)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, directional_contrast(vectors.float(), others.float(), *words))


def test_two_processes_divide_by_what_one_has_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, others, labels, directed, keys, key_labels = case()
    parts = [slice(0, 3), slice(3, 9)]
    found = of_both(monkeypatch, *(
        lambda s=s: directional_contrast(vectors[s], others[s], labels[s], directed[s], keys, key_labels, TEMPERATURE)
        for s in parts
    ))  # fmt: skip
    whole = directional_contrast(vectors, others, labels, directed, keys, key_labels, TEMPERATURE)
    torch.testing.assert_close(sum(found) / 2, whole)
