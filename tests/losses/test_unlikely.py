"""Which pixels are negatives of which classes, pixel by pixel."""

import pytest
import torch

from semiseg.losses import unlikely

CLASSES, PIXELS = 6, 40


def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    p = torch.rand(CLASSES, PIXELS, generator=g, dtype=torch.float64)
    labels = torch.randint(0, CLASSES, (PIXELS,), generator=g)
    labels[20:] = 255
    labels[0] = -1
    unreliable = torch.zeros(PIXELS, dtype=torch.bool)
    unreliable[25:] = True
    return p / p.sum(0), labels, unreliable


@pytest.mark.parametrize(("low", "high"), [(3, 20), (2, 4), (1, 1)])
def test_it_is_the_rank_of_the_class_among_those_of_the_pixel(low: int, high: int) -> None:
    p, labels, unreliable = case()
    found = unlikely(p, labels, unreliable, low, high)
    assert found.shape == (CLASSES, PIXELS) and found.dtype == torch.bool
    for n in range(PIXELS):
        order = sorted(range(CLASSES), key=lambda c: -float(p[c, n]))
        for c in range(CLASSES):
            if 0 < n < 20:
                expected = c != labels[n] and order.index(c) < low
            else:
                expected = n >= 25 and low <= order.index(c) < high
            assert bool(found[c, n]) is bool(expected)


def test_renumbered_classes_are_renumbered_negatives() -> None:
    p, labels, unreliable = case()
    new = torch.tensor([3, 0, 5, 1, 4, 2])  # class c is called new[c]
    renamed = torch.where((labels >= 0) & (labels < CLASSES), new[labels.clamp(0, CLASSES - 1)], labels)
    found = unlikely(p[new.argsort()], renamed, unreliable)
    assert torch.equal(found[new], unlikely(p, labels, unreliable))


def test_an_unreliable_pixel_of_three_classes_is_no_example_of_any() -> None:
    p, _, _ = case()
    nothing, every = torch.full((PIXELS,), 255), torch.ones(PIXELS, dtype=torch.bool)
    assert not unlikely(p[:3], nothing, every).any()
    assert (unlikely(p[:5], nothing, every).sum(0) == 2).all()
