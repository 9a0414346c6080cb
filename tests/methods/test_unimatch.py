"""UniMatch by hand, from what went through the student."""

from pathlib import Path

import oracles
import pytest
import torch
from conftest import tiny
from torch import Tensor
from watched import student_alone as watched

from semiseg import Config
from semiseg.methods import Batch, Method, Step, method_class
from semiseg.methods.base.views import NOTHING
from semiseg.networks.build import build_network_of

CLASSES, HEIGHT, WIDTH = 5, 32, 48
THRESHOLD = 0.5


def build(**changes: object) -> Method:
    torch.manual_seed(0)
    usual: dict[str, object] = {"pseudo__confidence_threshold": THRESHOLD, "pseudo__mix_probability": 1}
    usual["weights__pseudo"] = 3
    words = {f"method__unimatch__{key}": value for key, value in (usual | changes).items()}
    config = tiny(Path("."), Path("."), method__name="unimatch", method__augment__weak="none", **words)
    network = build_network_of(config, CLASSES)
    with torch.no_grad():
        network.classifier.weight.mul_(30)  # confidences on both sides of a threshold
    method: Method = method_class("unimatch")(config, network, 4).train()
    method.views.strong_set = NOTHING  # pictures stay comparable
    return method


def step(inside: Tensor | None = None) -> Step:
    g = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, HEIGHT, WIDTH, generator=g)
    labels = torch.randint(0, CLASSES, (5, HEIGHT, WIDTH), generator=g)
    unlabelled = Batch(images[2:], torch.full_like(labels[2:], 255), inside=inside)
    return Step(Batch(images[:2], labels[:2]), unlabelled, 3, torch.Generator().manual_seed(4))


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
