"""UniMatch by hand, from what went through the student."""

import oracles
import pytest
import torch
from by_hand import made, noise
from by_hand import student_alone as watched
from torch import Tensor

from semiseg import Config
from semiseg.methods import Method, Step, method_class

CLASSES, HEIGHT, WIDTH = 5, 32, 48
THRESHOLD = 0.5


def build(**changes: object) -> Method:
    usual: dict[str, object] = {"pseudo__confidence_threshold": THRESHOLD, "pseudo__mix_probability": 1}
    usual["weights__pseudo"] = 3
    words = {f"method__unimatch__{key}": value for key, value in (usual | changes).items()}
    return made("unimatch", CLASSES, 30, **words)


def step(inside: Tensor | None = None) -> Step:
    return noise(CLASSES, HEIGHT, WIDTH, inside)


def test_two_views_and_perturbed_features_learn_from_one_weak_view() -> None:
    terms, (weak_images, images), (weak, logits) = watched(build(), step())
    torch.testing.assert_close(weak_images, step().x_u.images)
    assert len(weak) == 2 * 3 and len(images) == len(logits) == 2 + 2 * 3
    sure, y = weak[:3].softmax(1).max(1)
    beta = (sure >= THRESHOLD).double()
    assert 0 < beta.mean() < 1
    assert terms["confident"].item() == pytest.approx(beta.mean().item())
    features, _ = oracles.cross_entropy(weak[3:], y, None, beta)
    assert terms["features"].item() == pytest.approx(features, rel=1e-4)
    boxes, strong = [], 0.0
    for view in range(2):
        these, answers = (t[2 + 3 * view : 5 + 3 * view] for t in (images, logits))
        pasted = ((these - weak_images.roll(1, 0)).abs() < 1e-6).all(1)
        assert (((these - weak_images).abs() < 1e-6).all(1) | pasted).all()
        target, weights = (torch.where(pasted, t.roll(1, 0), t) for t in (y, beta))
        strong += oracles.cross_entropy(answers, target, None, weights)[0] / 2
        boxes.append(pasted)
    assert not torch.equal(*boxes) and all(0.01 < box.float().mean() < 0.41 for box in boxes)
    assert terms["strong"].item() == pytest.approx(strong, rel=1e-4)
    supervised, _ = oracles.cross_entropy(logits[:2], step().labelled.labels, build_weights())
    assert terms["supervised"].item() == pytest.approx(supervised, rel=1e-4)
    by_hand = (supervised + 3 * (0.5 * strong + 0.5 * features)) / 4
    assert terms["loss"].item() == pytest.approx(by_hand, rel=1e-4)


def build_weights() -> Tensor | None:
    method = build()
    method.labelled_view(step())
    return method.class_weights(3)


def test_during_the_warm_up_and_without_weight_it_is_supervised() -> None:
    for method, iteration in ((build(), 0), (build(weights__pseudo=0), 3)):
        terms = method.losses(step()._replace(iteration=iteration))
        assert terms["strong"] > 0 and terms["loss"] == terms["supervised"]


def test_without_dropout_the_features_are_those_of_the_weak_view() -> None:
    _, _, (weak, _) = watched(build(pseudo__dropout=0), step())
    torch.testing.assert_close(weak[:3], weak[3:])
    _, _, (weak, _) = watched(build(), step())
    assert (weak[:3] - weak[3:]).abs().max() > 0.01


def test_the_features_teach_the_encoder_and_the_labels_do_not() -> None:
    """Gradients reach the backbone by the perturbed features; the plain decoding of the same batch has none."""
    method, found = build(), {}
    method.student.classifier.register_forward_hook(lambda _, x, logits: found.update({len(logits): logits}))
    terms = method.losses(step())
    conv, weak = method.student.backbone.conv1.weight, found[2 * 3]
    assert torch.autograd.grad(terms["features"], conv, retain_graph=True)[0].abs().sum() > 0
    gradient = torch.autograd.grad(terms["features"], weak, retain_graph=True)[0]
    assert not gradient[:3].any() and gradient[3:].any()
    assert torch.autograd.grad(terms["strong"], weak, allow_unused=True)[0] is None


def test_padding_goes_with_the_rectangles_and_counts_nowhere() -> None:
    inside = torch.ones(3, HEIGHT, WIDTH, dtype=torch.bool)
    inside[:2, 20:] = False
    terms, (weak_images, images), (weak, logits) = watched(build(pseudo__confidence_threshold=0), step(inside))
    y = weak[:3].argmax(1).where(inside, 255)
    features, _ = oracles.cross_entropy(weak[3:], y)
    assert terms["features"].item() == pytest.approx(features / inside.float().mean().item(), rel=1e-4)
    assert terms["confident"] == 1
    targets = []
    for view in range(2):
        pasted = ((images[2 + 3 * view : 5 + 3 * view] - weak_images.roll(1, 0)).abs() < 1e-6).all(1)
        targets.append(torch.where(pasted, y.roll(1, 0), y))
    target = torch.cat(targets)
    strong, _ = oracles.cross_entropy(logits[2:], target)
    assert terms["strong"].item() == pytest.approx(strong / (target != 255).float().mean().item(), rel=1e-4)


def test_an_average_stands_beside_and_is_never_asked() -> None:
    losses = [build(average=average).losses(step())["loss"].item() for average in (False, True)]
    assert losses[0] == losses[1]
    assert build(average=True).teacher is not None and build().teacher is None


def test_settings_that_it_reads() -> None:
    unread = method_class("unimatch").unread(Config.parse({}, ["method.name=unimatch", "data.dataset=toy_streets"]))
    assert not unread & {"method.augment.strong", "method.warmup", "training.passes"}
    assert {"method.teacher.momentum_start", "training.batch_norm_refresh_teacher"} <= unread


def test_memory_of_the_second_decoding_is_counted() -> None:
    method = build()
    cost = method.cost(2, 3)
    assert cost.student == (2, 3, 3, 3) and cost.teacher == 0
    kept = []
    output = method.student(torch.rand(11, 3, HEIGHT, WIDTH))
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        cost.losses(output, (HEIGHT, WIDTH))
    assert sum(kept) > sum(t.numel() for t in method.student.encode(torch.rand(3, 3, HEIGHT, WIDTH)))
