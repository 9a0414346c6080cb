"""The divergence of the student's distribution from a given one."""

import numpy as np
import pytest
import torch
from torch import Tensor
from two_processes import of_both

from semiseg.losses import kl_divergence


def given() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    logits, others = (torch.randn(2, 5, 3, 4, generator=g, dtype=torch.float64) for _ in range(2))
    weights, valid = (torch.rand(2, 3, 4, generator=g) < share for share in (0.6, 0.7))
    return logits, others.softmax(1), weights.double(), valid


def test_it_is_the_weighted_sum_over_the_valid_pixels() -> None:
    logits, target, weights, valid = given()
    total = 0.0
    for b, y, x in valid.nonzero().tolist():
        p = np.exp(logits[b, :, y, x].numpy())
        q, p = target[b, :, y, x].numpy(), p / p.sum()
        total += weights[b, y, x].item() * float((q * np.log(q / p)).sum())
    assert 0 < weights[valid].mean() < 1
    assert kl_divergence(logits, target, weights, valid).item() == pytest.approx(total / valid.sum().item())


def test_it_is_0_of_the_same_and_where_nothing_is_valid_and_finite_of_the_surest() -> None:
    logits, _, weights, valid = given()
    same = kl_divergence(logits, logits.softmax(1), weights, valid)
    assert same.item() == pytest.approx(0, abs=1e-12)
    assert kl_divergence(logits, logits.roll(1, 0).softmax(1), weights, valid & False) == 0
    extreme = 1e4 * logits
    assert torch.isfinite(kl_divergence(extreme, (-extreme).softmax(1), weights, valid))


def test_two_processes_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = given()
    parts = [[values[i : i + 1] for values in whole] for i in range(2)]
    found = of_both(monkeypatch, *(lambda part=part: kl_divergence(*part) for part in parts))
    torch.testing.assert_close(sum(found) / 2, kl_divergence(*whole))
