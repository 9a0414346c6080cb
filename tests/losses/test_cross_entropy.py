"""Eq. 3 against the pixel-by-pixel sum, values and gradients."""

import math
from typing import Literal

import pytest
import torch
from oracles import cross_entropy as oracle
from torch import Tensor
from two_processes import of_both

from semiseg.losses import weighted_cross_entropy

CLASSES = 4
Divisor = Literal["pixels", "weights"]


def batch(seed: int, ignore_index: int = 255) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, CLASSES, 5, 3, generator=generator, dtype=torch.float64)
    labels = torch.randint(CLASSES, (2, 5, 3), generator=generator)
    labels[torch.rand(2, 5, 3, generator=generator) < 0.3] = ignore_index
    alpha = 0.2 + 2 * torch.rand(CLASSES, generator=generator, dtype=torch.float64)
    beta = torch.rand(2, 5, 3, generator=generator, dtype=torch.float64)
    return logits, labels, alpha, beta


def test_uniform_prediction_costs_log_of_the_classes_and_ignored_pixels_count_in_n() -> None:
    labels = torch.tensor([[[0, 1], [3, 255]]])
    loss = weighted_cross_entropy(torch.zeros(1, CLASSES, 2, 2), labels)
    assert loss.item() == pytest.approx(3 * math.log(4) / 4, rel=1e-6)  # three pixels add ln 4, N is all four


def test_hand_computed_weights() -> None:
    # Pixel 1: probabilities 1/4, 3/4, label 0. Pixel 2: 1/2, 1/2, label 1.
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]], dtype=torch.float64).reshape(1, 2, 1, 2)
    labels = torch.tensor([[[0, 1]]])
    alpha, beta = torch.tensor([2.0, 5.0]), torch.tensor([[[0.5, 0.1]]])
    total = 2 * 0.5 * math.log(4) + 5 * 0.1 * math.log(2)
    by_pixels = weighted_cross_entropy(logits, labels, alpha.double(), beta.double())
    by_weights = weighted_cross_entropy(logits, labels, alpha.double(), beta.double(), divisor="weights")
    assert by_pixels.item() == pytest.approx(total / 2, rel=1e-7)
    assert by_weights.item() == pytest.approx(total / 7, rel=1e-7)


@pytest.mark.parametrize("divisor", ["pixels", "weights"])
@pytest.mark.parametrize("with_alpha", [False, True])
@pytest.mark.parametrize("with_beta", [False, True])
@pytest.mark.parametrize("ignore_index", [255, -1, 2])
def test_value_and_gradient(divisor: Divisor, with_alpha: bool, with_beta: bool, ignore_index: int) -> None:
    logits, labels, alpha, beta = batch(0, ignore_index)
    weights = (alpha if with_alpha else None, beta if with_beta else None)
    logits.requires_grad_()
    loss = weighted_cross_entropy(logits, labels, *weights, ignore_index=ignore_index, divisor=divisor)
    loss.backward()
    value, gradient = oracle(logits, labels, *weights, ignore_index=ignore_index, divisor=divisor)
    assert loss.shape == () and loss.dtype == torch.float64
    assert loss.item() == pytest.approx(value, rel=1e-9)
    torch.testing.assert_close(logits.grad, torch.from_numpy(gradient), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("divisor", ["pixels", "weights"])
def test_single_precision(divisor: Divisor) -> None:
    logits, labels, alpha, beta = batch(1)
    loss = weighted_cross_entropy(logits.float(), labels, alpha.float(), beta.float(), divisor=divisor)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(oracle(logits, labels, alpha, beta, divisor=divisor)[0], rel=1e-5)


@pytest.mark.parametrize("divisor", ["pixels", "weights"])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_nothing_labelled_gives_zero_with_zero_gradient(divisor: Divisor, with_alpha: bool) -> None:
    logits, labels, alpha, _ = batch(2)
    logits.requires_grad_()
    weights, ignored = alpha if with_alpha else None, torch.full_like(labels, 255)
    loss = weighted_cross_entropy(logits, ignored, weights, divisor=divisor)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and torch.equal(logits.grad, torch.zeros_like(logits))


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([1e4, -1e4]).reshape(1, 2, 1, 1).requires_grad_()
    loss = weighted_cross_entropy(logits, torch.ones(1, 1, 1, dtype=torch.int64))
    loss.backward()
    assert loss.item() == pytest.approx(2e4)
    assert logits.grad is not None and logits.grad.flatten().tolist() == pytest.approx([1, -1])


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 3.0]])
def test_two_processes_divide_by_the_weights_of_both(
    weights: list[float] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = torch.randn(2, 3, 1, 4, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.tensor([[[0, 255, 255, 255]], [[1, 2, 2, 255]]])
    alpha = None if weights is None else torch.tensor(weights, dtype=torch.float64)

    def loss(part: slice, across: bool) -> torch.Tensor:
        return weighted_cross_entropy(logits[part], labels[part], alpha, divisor="weights", across_processes=across)

    found = of_both(monkeypatch, lambda: loss(slice(0, 1), True), lambda: loss(slice(1, 2), True))
    torch.testing.assert_close(sum(found) / 2, loss(slice(None), False))

    def by_itself(part: slice) -> torch.Tensor:
        return weighted_cross_entropy(logits[part], labels[part], alpha, divisor="weights")

    alone = of_both(monkeypatch, lambda: by_itself(slice(0, 1)), lambda: by_itself(slice(1, 2)))
    torch.testing.assert_close(alone[0], loss(slice(0, 1), False))  # each for itself unless told otherwise
    pixel = torch.nn.functional.cross_entropy(logits[:1, :, :, :1], labels[:1, :, :1])
    torch.testing.assert_close(alone[0], pixel)  # one pixel, also where its weight is below 1
