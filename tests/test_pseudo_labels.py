"""Eq. 5 and the confidence weights beta of section 4.2."""

import math

import pytest
import torch
from two_processes import of_both

from semiseg.pseudo_labels import MovingThreshold, confidence_weights, pseudo_labels


def test_hand_computed() -> None:
    # Two pixels, three classes: probabilities (1/6, 2/6, 3/6) and (8/10, 1/10, 1/10).
    powers = torch.tensor([[1.0, 8.0], [2.0, 1.0], [3.0, 1.0]], dtype=torch.float64)
    logits = powers.log().reshape(1, 3, 1, 2) + 5
    labels, confidence = pseudo_labels(logits)
    assert labels.tolist() == [[[2, 0]]] and labels.dtype == torch.int64
    assert confidence.flatten().tolist() == pytest.approx([0.5, 0.8], rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_against_plain_loops(dtype: torch.dtype) -> None:
    logits = 4 * torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0), dtype=dtype)
    labels, confidence = pseudo_labels(logits)
    assert labels.shape == confidence.shape == (2, 3, 4)
    assert labels.dtype == torch.int64 and confidence.dtype == dtype
    for b in range(2):
        for y in range(3):
            for x in range(4):
                powers = [math.exp(value) for value in logits[b, :, y, x].tolist()]
                assert labels[b, y, x].item() == powers.index(max(powers))
                assert confidence[b, y, x].item() == pytest.approx(max(powers) / sum(powers), rel=1e-6)


def test_large_logits_do_not_overflow() -> None:
    labels, confidence = pseudo_labels(torch.tensor([1e4, 0.0, -1e4]).reshape(1, 3, 1, 1))
    assert labels.item() == 0 and confidence.item() == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_confidence_weights(dtype: torch.dtype) -> None:
    confidence = torch.tensor([[[0.5, 1.0, 0.25, 0.0]]], dtype=dtype)
    assert confidence_weights(confidence).tolist() == [[[1 / 64, 1, 1 / 4096, 0]]]
    assert confidence_weights(confidence, sharpness=2).tolist() == [[[0.25, 1, 0.0625, 0]]]
    assert confidence_weights(confidence, sharpness=1).tolist() == confidence.tolist()
    assert confidence_weights(confidence).dtype == dtype


LABELS = torch.tensor([[[0, 0, 3, 255]], [[3, 2, 0, 255]]])
CONFIDENCE = torch.tensor([[[0.5, 0.75, 0.25, 1.0]], [[0.5, 0.375, 0.625, 1.0]]])


def test_the_threshold_follows_the_highest_confidence_of_the_classes_that_are_there() -> None:
    mean = (0.75 + 0.5 + 0.375) / 3  # of classes 0, 3 and 2; neither class 1 nor 4, nor padding
    threshold = MovingThreshold(0.875, 0.75)
    first = threshold(LABELS, CONFIDENCE, 5)
    assert first.item() == pytest.approx(0.75 * 0.875 + 0.25 * mean)
    assert threshold(LABELS, CONFIDENCE, 5).item() == pytest.approx(0.75 * first.item() + 0.25 * mean)
    assert first.item() == pytest.approx(0.75 * 0.875 + 0.25 * mean), "what was given stays"
    again = MovingThreshold(0.1, 0.75)
    again.load_state_dict(threshold.state_dict())
    assert again.eval()(LABELS, CONFIDENCE, 5) == threshold.value, "and does not move in evaluation"


def test_the_threshold_stays_where_nothing_is_labelled() -> None:
    threshold = MovingThreshold(0.875, 0.5)
    assert threshold(torch.full_like(LABELS, 255), CONFIDENCE, 5) == 0.875


def test_the_threshold_is_common_to_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = MovingThreshold(0.875, 0.75)(LABELS, CONFIDENCE, 5)
    parts = [(LABELS[b : b + 1], CONFIDENCE[b : b + 1], 5) for b in range(2)]
    found = of_both(monkeypatch, *(lambda part=part: MovingThreshold(0.875, 0.75)(*part) for part in parts))
    assert all(torch.equal(value, alone) for value in found)
