"""Cross-entropy with pseudo-labels: what counts, and by what it is divided."""

import oracles
import pytest
import torch
from torch import Tensor
from two_processes import of_both

from semiseg.losses import unlabelled_cross_entropy


def given() -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, 4, 6, generator=g, dtype=torch.float64)
    labels = torch.randint(0, 5, (3, 4, 6), generator=g)
    labels[torch.rand(3, 4, 6, generator=g) < 0.3] = 255
    return logits, labels, (torch.rand(3, 4, 6, generator=g) < 0.6).double()


def test_it_is_divided_by_the_pixels_that_are_no_padding_and_not_by_the_sure_ones() -> None:
    logits, labels, beta = given()
    seen = (labels != 255).double().mean().item()
    value, gradient = oracles.cross_entropy(logits, labels, None, beta)
    logits.requires_grad_()
    loss = unlabelled_cross_entropy(logits, labels, beta)
    loss.backward()
    assert 0 < beta.mean() < 1 and seen < 0.9 and loss.item() == pytest.approx(value / seen)
    torch.testing.assert_close(logits.grad, torch.from_numpy(gradient / seen))
    half = unlabelled_cross_entropy(logits, labels, beta / 2)
    torch.testing.assert_close(half, loss / 2)


def test_padding_only_is_no_loss() -> None:
    logits, labels, beta = given()
    logits.requires_grad_()
    loss = unlabelled_cross_entropy(logits, torch.full_like(labels, 255), beta)
    loss.backward()
    assert loss == 0 and logits.grad is not None and not logits.grad.any()


def test_two_processes_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels, beta = (values[:2] for values in given())
    labels[0, 1:] = 255
    parts = [(logits[i : i + 1], labels[i : i + 1], beta[i : i + 1]) for i in range(2)]
    found = of_both(monkeypatch, *(lambda part=part: unlabelled_cross_entropy(*part) for part in parts))
    torch.testing.assert_close(sum(found) / 2, unlabelled_cross_entropy(logits, labels, beta))
