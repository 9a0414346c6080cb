"""Dynamic weights pixel by pixel."""

import math

import pytest
import torch
from torch import Tensor

from semiseg.losses import dynamic_weights, mutual_weights


def given() -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, 3, 4, 5, generator=g).double()
    labels = torch.randint(0, 3, (2, 4, 5), generator=g)
    labels[0, 0] = 255
    return logits.requires_grad_(), labels, torch.rand(2, 4, 5, generator=g)


def p_of(logits: Tensor, b: int, y: int, x: int) -> list[float]:
    powers = [math.exp(v) for v in logits[b, :, y, x].tolist()]
    return [power / sum(powers) for power in powers]


def test_they_are_powers_of_the_labels_probability() -> None:
    logits, labels, _ = given()
    found = dynamic_weights(logits, labels, 2.0)
    assert found.shape == labels.shape and not found.requires_grad
    for b, y, x in (labels != 255).nonzero().tolist():
        assert found[b, y, x].item() == pytest.approx(p_of(logits, b, y, x)[labels[b, y, x]] ** 2)
    assert (dynamic_weights(logits, labels, 0.0) == 1).all()


def test_mutual_ones_by_who_is_surer() -> None:
    logits, labels, confidence = given()
    found = mutual_weights(logits, labels, confidence, agree=3.0, disagree=1.5)
    assert not found.requires_grad
    cases = set()
    for b, y, x in (labels != 255).nonzero().tolist():
        p, label = p_of(logits, b, y, x), int(labels[b, y, x])
        if p.index(max(p)) == label:
            case, weight = "agree", p[label] ** 3
        elif max(p) > confidence[b, y, x]:
            case, weight = "surer", 0.0
        else:
            case, weight = "unsure", p[label] ** 1.5
        cases.add(case)
        assert found[b, y, x].item() == pytest.approx(weight), case
    assert cases == {"agree", "surer", "unsure"}


def test_where_both_agree_everywhere_they_are_the_dynamic_ones() -> None:
    logits, _, confidence = given()
    labels = logits.argmax(1)
    one = mutual_weights(logits, labels, confidence, agree=3.0, disagree=1.5)
    assert torch.equal(one, dynamic_weights(logits, labels, 3.0))


def test_extreme_logits() -> None:
    logits, labels = torch.tensor([1e4, -1e4]).view(1, 2, 1, 1), torch.tensor([[[1]]])
    assert dynamic_weights(logits, labels, 2.0).item() == 0
    assert mutual_weights(logits, labels, torch.ones(1, 1, 1), 2.0, 0.0).item() == 1, "no surer than the labeller"
