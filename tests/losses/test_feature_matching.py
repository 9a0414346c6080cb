"""The distance of two batches' mean features, over the rows that count."""

import pytest
import torch
from two_processes import of_both

from semiseg.losses import feature_matching


def rows() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    one, other = torch.randn(5, 3, generator=g).double(), torch.randn(4, 3, generator=g).double()
    return one, other, torch.tensor([1, 0, 1, 1, 0]).bool(), torch.tensor([0, 1, 1, 0]).bool()


def test_it_is_the_mean_distance_of_the_means() -> None:
    one, other, some, others = rows()
    first, second = ([sum(r[d] for r in side) / len(side) for d in range(3)]
                     for side in (one[some].tolist(), other[others].tolist()))  # fmt: skip
    by_hand = sum(abs(a - b) for a, b in zip(first, second, strict=True)) / 3
    assert feature_matching(one, other, some, others).item() == pytest.approx(by_hand)
    assert feature_matching(one, one.flip(0), torch.ones(5).bool(), torch.ones(5).bool()).item() == pytest.approx(0)


def test_a_side_without_rows_is_0_with_a_finite_gradient() -> None:
    one, other, some, _ = rows()
    one.requires_grad_()
    loss = feature_matching(one, other, some, torch.zeros(4).bool())
    loss.backward()
    assert loss == 0 and not one.grad.any()


def test_two_processes_are_one_with_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other, some, others = rows()
    halves = [(slice(0, 1), slice(0, 3)), (slice(1, 5), slice(3, 4))]
    given = [(one[a], other[b], some[a], others[b]) for a, b in halves]
    found = of_both(monkeypatch, *(lambda words=words: feature_matching(*words) for words in given))
    for loss in found:
        torch.testing.assert_close(loss, feature_matching(one, other, some, others))
