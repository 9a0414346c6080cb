"""The squared distance of two predictions, over the pixels that count."""

import pytest
import torch
from two_processes import of_both

from semiseg.losses import consistency, valid_mean


def test_it_is_the_sum_over_classes_and_the_mean_over_valid_pixels() -> None:
    g = torch.Generator().manual_seed(0)
    one, other = (torch.randn(2, 5, 4, 6, generator=g).double().softmax(1) for _ in range(2))
    valid = torch.rand(2, 4, 6, generator=g) > 0.3
    by_hand = [((one[b, :, y, x] - other[b, :, y, x]) ** 2).sum() for b, y, x in valid.nonzero().tolist()]
    torch.testing.assert_close(consistency(one, other, valid), torch.stack(by_hand).mean())
    every = torch.ones_like(valid)
    torch.testing.assert_close(consistency(one, other), consistency(one, other, every))
    assert consistency(one, other, torch.zeros_like(valid)) == 0


def test_a_share_of_valid_pixels() -> None:
    values, valid = torch.tensor([[[True, False, True, True]]]), torch.tensor([[[True, True, False, False]]])
    assert valid_mean(values, valid) == 0.5 and valid_mean(values, torch.zeros_like(valid)) == 0


def test_two_processes_divide_by_what_one_sees_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    values = 1 + torch.arange(8.0).reshape(2, 1, 4)
    valid = torch.tensor([[[True, False, False, False]], [[True, True, True, False]]])
    found = of_both(monkeypatch, *(lambda b=b: valid_mean(values[b : b + 1], valid[b : b + 1]) for b in range(2)))
    torch.testing.assert_close(sum(found) / 2, values[valid].mean())
    alone = of_both(monkeypatch, lambda: valid_mean(values[:1], valid[:1]), lambda: valid_mean(values, valid & False))
    torch.testing.assert_close(sum(alone) / 2, values[0, 0, 0])  # half a pixel each, on average


def test_the_count_of_valid_pixels_has_the_type_of_the_values() -> None:
    values, valid = torch.ones(1, 2, 2, dtype=torch.float64), torch.ones(1, 2, 2, dtype=torch.bool)
    assert valid_mean(values, valid).dtype == torch.float64 and valid_mean(values, valid) == 1


def test_what_is_not_seen_has_no_distance_and_counts_all_the_same() -> None:
    g = torch.Generator().manual_seed(0)
    student, teacher = (torch.rand(2, 3, 5, 7, generator=g, dtype=torch.float64).softmax(1) for _ in range(2))
    valid, seen = (torch.rand(2, 5, 7, generator=g) < share for share in (0.8, 0.5))
    squared = (student - teacher).square().sum(dim=1)
    expected = squared[valid & seen].sum().item() / int(valid.sum())
    assert consistency(student, teacher, valid, seen).item() == pytest.approx(expected)
    assert consistency(student, teacher, None, seen).item() == pytest.approx(squared[seen].sum().item() / seen.numel())


@pytest.mark.parametrize("kind", [torch.bool, torch.int64, torch.bfloat16])
def test_the_mean_of_valid_pixels_is_single_at_least(kind: torch.dtype) -> None:
    values = (torch.arange(4 * 300).view(4, 10, 30) % 3 > 0).to(kind)
    valid = torch.ones(4, 10, 30, dtype=torch.bool)
    found = valid_mean(values, valid)
    assert found.dtype == torch.float32 and found.item() == pytest.approx(2 / 3)
