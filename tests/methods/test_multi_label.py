"""MLMT's branch: its losses by hand, its weight, and what its filter leaves out."""

import math
from pathlib import Path

import pytest
import torch
from conftest import tiny

from semiseg.methods.base.multi_label import MultiLabel, MultiLabelSettings, shown
from semiseg.networks.build import build_network_of

CLASSES = 4


def build() -> MultiLabel:
    torch.manual_seed(0)
    return MultiLabel(build_network_of(tiny(Path("."), Path(".")), CLASSES), MultiLabelSettings(enabled=True)).eval()


def test_losses_by_hand() -> None:
    branch = build()
    x_l, x_u = torch.rand(3, 3, 32, 48), torch.rand(2, 3, 32, 48)
    y_l = torch.full((3, 32, 48), 255)
    y_l[0, 0, 0], y_l[0, 1, 0], y_l[2, 3, 3] = 1, 3, 0  # the second shows nothing that is known
    target = torch.randn(2, CLASSES)
    presence, consistency = branch.losses(x_l, y_l, x_u, target, torch.tensor([False, True]))
    chances = branch.classifier(x_l).double().sigmoid().tolist()
    truth = [[0, 1, 0, 1], None, [1, 0, 0, 0]]
    by_hand = [-sum(math.log(p if t else 1 - p) for p, t in zip(ps, ts, strict=True)) / CLASSES
               for ps, ts in zip(chances, truth, strict=True) if ts is not None]  # fmt: skip
    assert presence.item() == pytest.approx(sum(by_hand) / 2, rel=1e-5)
    mine, theirs = branch.classifier(x_u)[1].double(), target[1].double()
    cosine = (mine @ theirs / (mine.norm() * theirs.norm())).item()
    assert consistency.item() == pytest.approx(1 - cosine, abs=1e-6)


def test_classes_that_are_shown() -> None:
    labels = torch.tensor([[[0, 2], [255, 2]], [[255, 255], [255, 255]]])
    assert shown(labels, 3).tolist() == [[True, False, True], [False, False, False]]


def test_the_filter_never_raises_a_class_and_leaves_absent_ones_out() -> None:
    branch = build()
    p = torch.rand(2, CLASSES, 3, 5).softmax(1)
    target = torch.logit(torch.tensor([[0.9, 0.19, 0.21, 0.1], [0.1, 0.1, 0.1, 0.1]]))
    found = branch.without_absent(p, target)
    assert (found <= p).all()
    assert torch.equal(found[0, [0, 2]], p[0, [0, 2]]) and not found[0, [1, 3]].any()
    assert torch.equal(found[1], p[1]), "an image shows something"


def test_the_weight_of_the_distance_rises_after_the_burn_in() -> None:
    branch = build()
    assert [branch.weight(t) for t in (0.0, 0.1, 0.35, 0.6, 1.0)] == pytest.approx([0, 0, 0.5, 1, 1])
