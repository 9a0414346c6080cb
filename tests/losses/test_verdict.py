"""A critic's answers against the definition of binary cross-entropy."""

import math

import pytest
import torch
from two_processes import of_both

from semiseg.losses import verdict


@pytest.mark.parametrize("label", [True, False])
@pytest.mark.parametrize("shape", [(2, 3, 5), (7,)])
def test_it_is_the_mean_logarithm_of_the_right_answer(label: bool, shape: tuple[int, ...]) -> None:
    g = torch.Generator().manual_seed(0)
    scores = torch.randn(shape, generator=g, dtype=torch.float64)
    valid = torch.rand(shape, generator=g) > 0.4
    assert 0 < valid.sum() < valid.numel()
    chances = [1 / (1 + math.exp(-s)) for s in scores[valid].tolist()]
    by_hand = -sum(math.log(p if label else 1 - p) for p in chances) / len(chances)
    assert verdict(scores, label, valid).item() == pytest.approx(by_hand)


def test_nothing_valid_is_0_and_extreme_scores_are_finite() -> None:
    scores = torch.tensor([1e4, -1e4, 0.0], requires_grad=True)
    assert verdict(scores, True, torch.zeros(3, dtype=torch.bool)) == 0
    loss = verdict(scores, True, torch.ones(3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == pytest.approx((1e4 + math.log(2)) / 3) and torch.isfinite(scores.grad).all()


def test_two_processes_are_one_with_all_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, valid = torch.linspace(-2, 3, 6).reshape(2, 3), torch.tensor([[True, False, False], [True, True, True]])
    found = of_both(monkeypatch, *(lambda b=b: verdict(scores[b], True, valid[b]) for b in range(2)))
    torch.testing.assert_close(sum(found) / 2, verdict(scores, True, valid))
