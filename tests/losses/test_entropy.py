"""Eq. 7 against the pixel-by-pixel sum, values and gradients."""

import math
from typing import Literal

import pytest
import torch
from oracles import entropy as oracle
from torch import Tensor
from two_processes import of_both

from semiseg.losses import entropy

CLASSES = 5
Base = Literal["natural", "classes"]


def batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(3, CLASSES, 4, 2, generator=generator, dtype=torch.float64)
    return logits, torch.rand(3, 4, 2, generator=generator) < 0.6


def test_uniform_prediction_has_the_largest_entropy() -> None:
    logits = torch.full((2, CLASSES, 3, 3), 7.0, dtype=torch.float64)
    assert entropy(logits).item() == pytest.approx(math.log(CLASSES), rel=1e-12)
    assert entropy(logits, base="classes").item() == pytest.approx(1, rel=1e-12)


def test_hand_computed_mean_over_pixels() -> None:
    # Probabilities (1/4, 3/4) and (1/2, 1/2).
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]], dtype=torch.float64).reshape(1, 2, 1, 2)
    first = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
    assert entropy(logits).item() == pytest.approx((first + math.log(2)) / 2, rel=1e-12)
    assert entropy(logits, torch.tensor([[[True, False]]])).item() == pytest.approx(first, rel=1e-12)


@pytest.mark.parametrize("base", ["natural", "classes"])
@pytest.mark.parametrize("masked", [False, True])
def test_value_and_gradient(base: Base, masked: bool) -> None:
    logits, valid = batch(0)
    assert 0 < valid.sum() < valid.numel()
    mask = valid if masked else None
    logits.requires_grad_()
    loss = entropy(logits, mask, base=base)
    loss.backward()
    value, gradient = oracle(logits, mask, base)
    assert loss.shape == () and loss.dtype == torch.float64
    assert loss.item() == pytest.approx(value, rel=1e-9)
    torch.testing.assert_close(logits.grad, torch.from_numpy(gradient), rtol=1e-9, atol=1e-12)


def test_single_precision() -> None:
    logits, valid = batch(1)
    loss = entropy(logits.float(), valid)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(oracle(logits, valid)[0], rel=1e-5)


@pytest.mark.parametrize("base", ["natural", "classes"])
def test_no_valid_pixel_gives_zero_with_zero_gradient(base: Base) -> None:
    logits, valid = batch(2)
    logits.requires_grad_()
    loss = entropy(logits, torch.zeros_like(valid), base=base)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and torch.equal(logits.grad, torch.zeros_like(logits))


def test_certain_prediction_has_no_entropy_and_a_finite_gradient() -> None:
    logits = torch.tensor([1e4, 0.0, -1e4]).reshape(1, 3, 1, 1).requires_grad_()
    loss = entropy(logits)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


def test_pixels_that_are_no_image_add_nothing_to_either_divisor() -> None:
    g = torch.Generator().manual_seed(3)
    logits, valid = torch.randn(2, 5, 4, 6, generator=g), torch.rand(2, 4, 6, generator=g) > 0.4
    noise = torch.where(valid[:, None], logits, 100 * torch.randn(2, 5, 4, 6, generator=g))
    over_valid, over_all = entropy(logits, valid), entropy(logits, valid, divisor="pixels")
    torch.testing.assert_close(over_all * valid.numel(), over_valid * valid.sum())
    torch.testing.assert_close(entropy(noise, valid), over_valid)
    torch.testing.assert_close(entropy(noise, valid, divisor="pixels"), over_all)


def test_two_processes_divide_by_the_valid_pixels_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.randn(2, 3, 1, 4, generator=torch.Generator().manual_seed(0)).double()
    valid = torch.tensor([[[True, False, False, False]], [[True, True, True, False]]])
    parts = [lambda b=b: entropy(logits[b : b + 1], valid[b : b + 1], across_processes=True) for b in range(2)]
    torch.testing.assert_close(sum(of_both(monkeypatch, *parts)) / 2, entropy(logits, valid))
    alone = of_both(monkeypatch, lambda: entropy(logits[:1], valid[:1]), lambda: entropy(logits[1:], valid[1:]))
    torch.testing.assert_close(alone[1], entropy(logits[1:], valid[1:]))  # each for itself unless told otherwise
