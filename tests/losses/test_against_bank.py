"""The contrast with negatives against every pair in float64."""

import pytest
import torch
from oracles import against_bank as oracle
from torch import Tensor
from two_processes import of_both

from semiseg.losses import contrast_against_bank

CLASSES, TEMPERATURE = 4, 0.3


def case(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Class 3 has no z, class 2 no p; some rows have no class."""
    g = torch.Generator().manual_seed(seed)
    p, z = torch.randn(11, 5, generator=g, dtype=torch.float64), torch.randn(9, 5, generator=g, dtype=torch.float64)
    scores = 0.05 + 0.9 * torch.rand(11, generator=g, dtype=torch.float64)
    return p, torch.tensor([0, 1, 3, 0, 255, 1, 0, -1, 3, 1, 4]), scores, z, torch.tensor([0, 0, 1, 2, 4, 1, 1, 2, -1])


@pytest.mark.parametrize("seed", range(3))
def test_values_and_gradients_are_those_of_all_pairs(seed: int) -> None:
    p, p_labels, scores, z, z_labels = case(seed)
    sides = [[t.clone().requires_grad_() for t in (p, scores)] for _ in range(2)]
    bank = z.clone().requires_grad_()
    words = p_labels, bank, z_labels, CLASSES, TEMPERATURE
    found = contrast_against_bank(sides[0][0], words[0], sides[0][1], *words[1:])
    expected = oracle(sides[1][0], p_labels, sides[1][1], z, z_labels, CLASSES, TEMPERATURE)
    assert found.item() == pytest.approx(expected.item(), rel=1e-10) and found > 0.1
    found.backward()
    expected.backward()
    for ours, theirs in zip(*sides, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    assert bank.grad is None
    left_out = ~torch.isin(p_labels, torch.tensor([0, 1]))
    assert not sides[0][0].grad[left_out].any()  # type: ignore[index]


def test_of_one_class_alone_there_is_nothing_to_repel() -> None:
    p, p_labels, scores, z, _ = case()
    one = torch.zeros_like(p_labels[:9])
    assert contrast_against_bank(p, p_labels, scores, z, one, CLASSES) == 0
    for labels, stored in ((torch.full_like(p_labels, 255), one), (p_labels, torch.full_like(one, CLASSES))):
        x = p.clone().requires_grad_()
        found = contrast_against_bank(x, labels, scores, z, stored, CLASSES)
        found.backward()
        assert found == 0 and not x.grad.any()  # type: ignore[union-attr]


def test_renumbered_classes_and_half_precision_make_no_difference() -> None:
    p, p_labels, scores, z, z_labels = case()
    found = contrast_against_bank(p, p_labels, scores, z, z_labels, CLASSES, TEMPERATURE)
    new = torch.tensor([2, 3, 0, 1])  # the last class has both sides now
    renamed = [torch.where((y >= 0) & (y < CLASSES), new[y.clamp(0, CLASSES - 1)], y) for y in (p_labels, z_labels)]
    again = contrast_against_bank(p, renamed[0], scores, z, renamed[1], CLASSES, TEMPERATURE)
    torch.testing.assert_close(again, found)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        single = contrast_against_bank(
            1e4 * p.float(), p_labels, scores.float(), z.float(), z_labels, CLASSES, TEMPERATURE
        )
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), found, rtol=1e-4, atol=1e-5)


def test_each_side_may_be_half_precision_and_the_temperature_is_pixcons() -> None:
    p, p_labels, scores, z, z_labels = case()
    whole = contrast_against_bank(p.float(), p_labels, scores.float(), z.float(), z_labels, CLASSES)
    assert whole == contrast_against_bank(p.float(), p_labels, scores.float(), z.float(), z_labels, CLASSES, 0.1)
    for kinds in ((torch.half, torch.float, torch.float), (torch.float, torch.half, torch.float),
                  (torch.float, torch.float, torch.half)):  # fmt: skip
        given = [side.to(kind) for side, kind in zip((p, scores, z), kinds, strict=True)]
        found = contrast_against_bank(given[0], p_labels, given[1], given[2], z_labels, CLASSES)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, whole, rtol=1e-2, atol=1e-3)


def test_two_processes_have_the_loss_of_the_joint_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    p, p_labels, scores, z, z_labels = case()
    parts = [slice(0, 3), slice(3, 11)]
    found = of_both(monkeypatch, *(
        lambda s=s: contrast_against_bank(p[s], p_labels[s], scores[s], z, z_labels, CLASSES, TEMPERATURE, True)
        for s in parts
    ))  # fmt: skip
    whole = contrast_against_bank(p, p_labels, scores, z, z_labels, CLASSES, TEMPERATURE)
    for each in found:
        torch.testing.assert_close(each, whole)
