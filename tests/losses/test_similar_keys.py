"""Sums over keys in pieces, against one key after the other in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from semiseg.losses import similar_keys
from semiseg.losses import similar_keys as function

QUERIES, KEYS, DIM, TEMPERATURE = 11, 7, 4, 0.3


def case(scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    queries = scale * torch.randn(QUERIES, DIM, generator=g, dtype=torch.float64)
    keys = torch.randn(KEYS, DIM, generator=g, dtype=torch.float64)
    labels = torch.randint(0, 3, (QUERIES,), generator=g)
    return queries, labels, keys, torch.tensor([0, 1, -1, 1, 4, 0, -1])


def set_table(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setitem(function.__globals__, "TABLE", size)


@pytest.mark.parametrize("table", [1, 20, 2**24])
def test_values_and_gradients_are_those_of_one_key_after_the_other(table: int, monkeypatch: pytest.MonkeyPatch) -> None:
    set_table(monkeypatch, table)
    queries, labels, keys, key_labels = case()
    ours, theirs = queries.clone().requires_grad_(), queries.clone().requires_grad_()
    same, other = similar_keys(ours, labels, keys, key_labels, TEMPERATURE)
    weights = torch.rand(2, QUERIES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    total = torch.zeros((), dtype=torch.float64)
    for n in range(QUERIES):
        powers = [((theirs[n] * keys[m]).sum() / TEMPERATURE).exp() for m in range(KEYS)]
        for found, wanted, weight in ((same, True, weights[0, n]), (other, False, weights[1, n])):
            chosen = [
                powers[m] for m in range(KEYS) if key_labels[m] >= 0 and bool(key_labels[m] == labels[n]) is wanted
            ]
            if chosen:
                expected = torch.stack(chosen).sum().log()
                assert found[n].item() == pytest.approx(expected.item(), rel=1e-12)
                total = total + weight * expected
            else:
                assert labels[n] == 2 and found[n] < -1e300
    total.backward()
    (weights * torch.stack([same, other])).sum().backward()
    assert (labels == 2).any()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_far_keys_and_none_are_finite() -> None:
    queries, labels, keys, key_labels = case(1e4)
    for some in (key_labels, torch.full_like(key_labels, -1)):
        x = queries.float().clone().requires_grad_()
        same, other = similar_keys(x, labels, keys.float(), some, TEMPERATURE)
        assert torch.isfinite(same).all() and torch.isfinite(other).all()
        torch.nn.functional.softplus(other - 1).sum().backward()
        assert torch.isfinite(x.grad).all() and bool(x.grad.any()) is bool((some >= 0).any())  # type: ignore[union-attr]


def test_no_tensor_is_as_large_as_the_whole_table(monkeypatch: pytest.MonkeyPatch) -> None:
    class Largest(TorchDispatchMode):
        size = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, (tuple, list)) else (out,):
                if isinstance(tensor, Tensor):
                    self.size = max(self.size, tensor.numel())
            return out

    set_table(monkeypatch, 500)
    queries, keys = torch.randn(200, 2, requires_grad=True), torch.randn(100, 2)
    with Largest() as largest:
        torch.stack(
            similar_keys(queries, torch.zeros(200, dtype=torch.int64), keys, torch.arange(100) % 2, 1.0)
        ).sum().backward()
    assert 400 <= largest.size <= 500, "of 20 000"
