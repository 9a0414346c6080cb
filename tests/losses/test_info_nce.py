"""InfoNCE by class against one query at a time, in float64."""

import pytest
import torch
from oracles import info_nce as oracle
from torch import Tensor
from two_processes import of_both

from semiseg.losses import drawn, info_nce
from semiseg.losses.info_nce import _similarities

CLASSES, QUERIES, DIM, KEYS, NEGATIVES, TEMPERATURE = 3, 5, 4, 7, 6, 0.3


def case(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, list[Tensor], Tensor]:
    g = torch.Generator().manual_seed(0)
    queries, positives = (torch.randn(CLASSES, *s, DIM, generator=g).to(dtype) for s in ((QUERIES,), ()))
    keys = [torch.randn(KEYS, DIM, generator=g, dtype=dtype) for _ in range(CLASSES)]
    keys = [torch.nn.functional.normalize(part, dim=1) for part in keys]
    negatives = torch.randint(KEYS, (CLASSES, QUERIES, NEGATIVES), generator=g)
    filled = torch.tensor([[True, True, False, True, False], [False] * 5, [True] * 5])
    return queries, filled, positives, keys, negatives


def test_values_and_gradients_are_those_of_one_query_after_the_other() -> None:
    queries, filled, positives, keys, negatives = case()
    ours, theirs = queries.clone().requires_grad_(), queries.clone().requires_grad_()
    found = info_nce(ours, filled, positives, keys, negatives, TEMPERATURE)
    for c in range(CLASSES):
        each = [oracle(theirs[c, q], positives[c], keys[c][negatives[c, q]], TEMPERATURE)
                for q in range(QUERIES) if filled[c, q]]  # fmt: skip
        expected = torch.stack(each).mean() if each else torch.zeros((), dtype=torch.float64)
        assert found[c].item() == pytest.approx(expected.item(), rel=1e-12)
        if each:
            expected.backward()
    found.sum().backward()
    assert found[1] == 0 and found.dtype == torch.float64
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert not ours.grad[~filled].any()  # type: ignore[index]


def test_half_precision_counts_in_single_and_huge_vectors_stay_finite() -> None:
    queries, filled, positives, keys, negatives = case(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = info_nce(1e4 * queries, filled, 1e4 * positives, keys, negatives, TEMPERATURE)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, info_nce(queries, filled, positives, keys, negatives, TEMPERATURE))
    assert torch.isfinite(info_nce(queries * 0, filled, positives * 0, keys, negatives, 0.01)).all()


def test_few_keys_side_by_side_are_many_products() -> None:
    g = torch.Generator().manual_seed(1)
    queries, keys = torch.randn(2, 3, generator=g), torch.randn(50, 3, generator=g)
    index = torch.randint(50, (2, 40), generator=g)  # more than there are keys: all products
    few = _similarities(queries, keys, index[:, :4])
    torch.testing.assert_close(few, _similarities(queries, keys, index)[:, :4])


def test_two_processes_divide_by_what_one_has_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, filled, positives, keys, negatives = case()
    parts = [slice(0, 2), slice(2, 5)]
    found = of_both(monkeypatch, *(
        lambda s=s: info_nce(queries[:, s], filled[:, s], positives, keys, negatives[:, s], TEMPERATURE) for s in parts
    ))  # fmt: skip
    torch.testing.assert_close(sum(found) / 2, info_nce(queries, filled, positives, keys, negatives, TEMPERATURE))


def test_what_is_drawn_is_random_and_among_what_may_be_drawn() -> None:
    among = torch.zeros(3, 40, dtype=torch.bool)
    among[0, 5:35], among[2, [7, 30]] = True, True
    seen = set()
    for seed in range(60):
        index, filled = drawn(among, 4, torch.Generator().manual_seed(seed))
        assert filled.sum(1).tolist() == [4, 0, 2]
        assert among.gather(1, index)[filled].all()
        assert len(set(index[0].tolist())) == 4
        seen |= set(index[0].tolist())
    assert seen == set(range(5, 35))
    index, filled = drawn(among, 99, torch.Generator())
    assert index.shape == (3, 40) and sorted(index[0][filled[0]].tolist()) == list(range(5, 35))
