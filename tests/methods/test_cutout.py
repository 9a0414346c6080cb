"""CutOut by hand, from what went through student and teacher."""

from pathlib import Path

import numpy as np
import pytest
import torch
from by_hand import noise
from by_hand import student_and_teacher as watched
from conftest import tiny
from torch import Tensor

from semiseg.methods import Method, Step, method_class
from semiseg.methods.base.views import NOTHING
from semiseg.networks.build import build_network_of

CLASSES, HEIGHT, WIDTH = 5, 32, 48


def build(name: str = "cutout", **changes: object) -> Method:
    torch.manual_seed(0)
    config = tiny(Path("."), Path("."), method__name=name, method__augment__weak="none", **changes)
    network = build_network_of(config, CLASSES)
    with torch.no_grad():
        network.classifier.weight.mul_(30)  # confidences on both sides of a threshold
    method: Method = method_class(name)(config, network, 4).train()
    return method


def step(inside: Tensor | None = None, crops: int = 3) -> Step:
    return noise(CLASSES, HEIGHT, WIDTH, inside, crops)


def test_the_distance_on_what_is_seen_over_all_pixels_times_the_confident_share() -> None:
    threshold = 0.5
    terms, seen = watched(build(method__pseudo__confidence_threshold=threshold), step())
    (student_images, student), (teacher_images, teacher) = seen["s"], seen["t"]
    images, logits = student_images[2:].numpy(), student[2:].double().numpy()
    cut = (images != teacher_images.numpy()).any(1)
    assert 0.05 < cut.mean() < 0.95
    assert np.unique(images.transpose(0, 2, 3, 1)[cut], axis=0).tolist() == [[0.5, 0.5, 0.5]], "the network's mean"
    given = teacher.double().numpy()
    total = confident = 0.0
    for b, y, x in np.ndindex(*cut.shape):
        p, q = (np.exp(scores[b, :, y, x] - scores[b, :, y, x].max()) for scores in (logits, given))
        p, q = p / p.sum(), q / q.sum()
        total += 0.0 if cut[b, y, x] else float(((p - q) ** 2).sum())
        confident += float(q.max() > threshold)
    assert 0 < confident / cut.size < 1
    assert terms["confident"].item() == pytest.approx(confident / cut.size, rel=1e-5)
    assert terms["pseudo"].item() == pytest.approx(total / cut.size * confident / cut.size, rel=1e-4)


def test_every_area_is_as_likely_and_boxes_are_cut_out_of_the_image() -> None:
    method = build(method__augment__strong="weak")
    many = torch.rand(600, 3, 16, 24, generator=torch.Generator().manual_seed(1))
    nothing = torch.ones(600, 16, 24, dtype=torch.bool)
    images, _, _, seen = method.perturbed(step(), many, many, nothing)  # type: ignore[attr-defined]
    areas = (~seen).float().mean((1, 2))
    assert areas.quantile(torch.tensor([0.25, 0.5, 0.75])).tolist() == pytest.approx([0.25, 0.5, 0.75], abs=0.06)
    assert torch.equal((images == many).all(1), seen)
    rows, columns = (~seen).any(2), (~seen).any(1)
    assert torch.equal(~seen, rows[:, :, None] & columns[:, None, :]), "the rectangle is what is gone"


def test_the_gradient_is_proportional_to_the_confident_share() -> None:
    gradients, shares = [], []
    for threshold in (0.0, 0.5):
        method = build(method__pseudo__confidence_threshold=threshold)
        terms = method.losses(step())
        weight = method.student.backbone.conv1.weight
        gradients.append(torch.autograd.grad(terms["pseudo"], weight)[0])
        shares.append(terms["confident"])
    assert shares[0] == 1 and 0 < shares[1] < 1
    torch.testing.assert_close(gradients[1], gradients[0] * shares[1])


def test_nothing_is_asked_of_a_cut_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build(method__pseudo__confidence_threshold=0, method__augment__strong="weak")
    logits = torch.randn(3, CLASSES, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2))
    method.views.strong_set = NOTHING
    nothing = torch.ones(3, HEIGHT, WIDTH, dtype=torch.bool)
    now = step()
    method.labelled_view(now)
    method.views.geometry(now)
    _, _, _, seen = method.perturbed(now, now.x_u.images, logits, nothing)  # type: ignore[attr-defined]
    results = []
    for answer in (logits, logits.where(seen[:, None], -logits), logits.where(~seen[:, None], -logits)):
        monkeypatch.setattr(method, "teacher_logits", lambda images, answer=answer: answer)
        results.append(method.losses(step())["pseudo"].item())
    assert results[0] == results[1] != results[2]


def test_padding_counts_neither_in_the_loss_nor_in_the_share() -> None:
    inside = torch.zeros(3, HEIGHT, WIDTH, dtype=torch.bool)
    terms = build(method__pseudo__confidence_threshold=0).losses(step(inside))
    assert terms["pseudo"] == 0 == terms["confident"] and torch.isfinite(terms["loss"])
    inside[:, :20] = True
    assert build(method__pseudo__confidence_threshold=0).losses(step(inside))["confident"] == 1


def test_it_has_the_settings_of_cutmix_and_other_boxes() -> None:
    one, other = (build(name, method__pseudo__confidence_threshold=0) for name in ("cutout", "cutmix"))
    assert one.options == other.options
    terms, others = one.losses(step()), other.losses(step())
    assert terms["pseudo"] > 0 and terms["pseudo"] != others["pseudo"]
