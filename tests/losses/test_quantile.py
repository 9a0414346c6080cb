"""The quantile of valid pixels against sorting by hand."""

import math

import pytest
import torch
from two_processes import of_both

from semiseg.losses import valid_quantile


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.8, 0.9, 1.0])
@pytest.mark.parametrize("count", [1, 7, 20])
def test_it_is_the_value_that_so_many_do_not_exceed(share: float, count: int) -> None:
    values = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(count), dtype=torch.float64)
    valid = torch.zeros(60, dtype=torch.bool)
    valid[torch.randperm(60, generator=torch.Generator().manual_seed(1))[:count]] = True
    valid = valid.view_as(values)
    among = sorted(values[valid].tolist())
    assert valid_quantile(values, valid, share).item() == among[math.ceil(round(share * count, 9)) - 1]


def test_nothing_is_at_or_below_a_share_of_nothing() -> None:
    values = torch.randn(2, 3)
    assert valid_quantile(values, values < 9, 0.0) == -torch.inf
    assert valid_quantile(values, values > 9, 0.7) == -torch.inf


def test_two_processes_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    values, valid = torch.arange(12.0).view(2, 6), torch.tensor([[True] * 6, [True] * 2 + [False] * 4])
    found = of_both(monkeypatch, *(lambda b=b: valid_quantile(values[b], valid[b], 0.75) for b in range(2)))
    assert found == [5, 5] == [valid_quantile(values, valid, 0.75)] * 2
