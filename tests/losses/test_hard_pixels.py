"""Hard pixels, by hand."""

import torch

from semiseg.losses import hard_labels

LOGITS = torch.tensor([[0.2, 0.5, 0.9], [0.95, 0.6, 0.99]]).logit()  # of class 1; class 0 has 0


def of(threshold: float, least: float, labels: list[list[int]]) -> list[list[int]]:
    logits = torch.stack([torch.zeros_like(LOGITS), LOGITS])[None]
    return hard_labels(logits, torch.tensor([labels]), threshold, least)[0].tolist()


def test_pixels_whose_class_is_less_probable_than_the_threshold_stay() -> None:
    assert of(0.7, 0, [[1, 1, 1], [1, 1, 1]]) == [[1, 1, 255], [255, 1, 255]]
    assert of(0.7, 0, [[0, 255, 0], [1, 255, 0]]) == [[255, 255, 0], [255, 255, 0]]


def test_at_least_a_share_of_the_labelled_ones_stays() -> None:
    assert of(0.1, 0, [[1, 1, 1], [1, 1, 1]]) == [[255] * 3] * 2
    assert of(0.1, 0.5, [[1, 1, 1], [1, 1, 1]]) == [[1, 1, 255], [255, 1, 255]]
    assert of(0.1, 0.5, [[255, 1, 1], [255, 255, 255]]) == [[255, 1, 255], [255] * 3]
    assert of(0.1, 1, [[1, 1, 255], [1, 1, 1]]) == [[1, 1, 255], [1, 1, 1]]
    assert of(0.1, 0.5, [[255] * 3] * 2) == [[255] * 3] * 2
