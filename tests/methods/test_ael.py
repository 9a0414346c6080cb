"""AEL by hand: the confidence of classes, what they are drawn by, pasted classes, boxes, and pixels that count."""

import math
from pathlib import Path

import oracles
import pytest
import torch
from by_hand import made
from by_hand import student_and_teacher as watched
from conftest import tiny
from two_processes import of_both

from semiseg.methods import Batch, Method, Step, method_class
from semiseg.methods import ael as module
from semiseg.networks.build import build_network_of

HEIGHT, WIDTH, CLASSES = 32, 48, 4


def build(**changes: object) -> Method:
    return made("ael", CLASSES, 6, **{"method__pseudo__paste_probability": 0, **changes})


def batches() -> tuple[Batch, Batch]:
    g = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, HEIGHT, WIDTH, generator=g)
    labels = torch.randint(0, CLASSES - 1, (5, 4, 6), generator=g).repeat_interleave(8, 1).repeat_interleave(8, 2)
    labels[:, :5] = 255
    return Batch(images[:2], labels[:2]), Batch(images[2:], torch.full_like(labels[2:], 255))


def step(iteration: int = 3, unlabelled: Batch | None = None, seed: int = 4) -> Step:
    labelled, crops = batches()
    return Step(labelled, unlabelled or crops, iteration, torch.Generator().manual_seed(seed))


def known(method: Method, *confidences: float) -> None:
    """Let a method know classes by their confidence; NaN is one that was never seen."""
    values = torch.tensor(confidences)
    method.confidence.copy_(values.nan_to_num(0))
    method.seen.copy_(~values.isnan())


def test_the_confidence_of_a_class_follows_the_student_on_labelled_pixels() -> None:
    method = build(method__ael__pseudo__momentum=0.75)
    expected = [math.nan] * CLASSES
    for iteration in range(1, 3):
        now = step(iteration)
        if iteration == 2:  # without class 0
            now = now._replace(labelled=now.labelled._replace(labels=now.labelled.labels.masked_fill(
                now.labelled.labels == 0, 255)))  # fmt: skip
        _, seen = watched(method, now)
        p, labels = seen["s"][1][:2].double().softmax(1), now.labelled.labels
        for c in range(CLASSES):
            if (labels == c).any():
                own = p[:, c][labels == c].mean().item()
                expected[c] = own if iteration == 1 else 0.75 * expected[c] + 0.25 * own
        with torch.no_grad():
            method.student.classifier.bias.add_(torch.randn(CLASSES, generator=torch.Generator().manual_seed(1)))
    assert math.isnan(expected[3]) and method.seen.tolist() == [True, True, True, False]
    torch.testing.assert_close(method.confidence[:3], torch.tensor(expected[:3]), rtol=1e-5, atol=1e-6)
    assert method.confidence[3] == 0
    other = build()
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.confidence, method.confidence) and torch.equal(other.seen, method.seen)


def test_two_processes_have_one_confidence(monkeypatch: pytest.MonkeyPatch) -> None:
    g = torch.Generator().manual_seed(0)
    p = torch.randn(3, CLASSES, 4, 6, generator=g).softmax(1)
    labels = torch.randint(0, 3, (3, 4, 6), generator=g)
    labels[0] = 1
    whole, halves = build(), [build(), build()]
    whole.follow(p, labels)
    of_both(monkeypatch, lambda: halves[0].follow(p[:1], labels[:1]), lambda: halves[1].follow(p[1:], labels[1:]))
    for half in halves:
        torch.testing.assert_close(half.confidence, whole.confidence)
        assert torch.equal(half.seen, whole.seen)


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_classes_are_drawn_the_sooner_the_less_sure_they_are(power: float) -> None:
    method = build()
    everything = method.classes(step(), power, 4000)
    assert everything.unique().tolist() == [0, 1, 2, 3], "nothing is known at first"
    known(method, 0.99, 0.5, 0.0, math.nan)
    found = torch.bincount(method.classes(step(), power, 40, 1000).flatten(), minlength=CLASSES) / 40_000
    weights = [math.exp((1 - c) ** power) for c in (0.99, 0.5, 0.0)]
    expected = [w / sum(weights) for w in weights]
    assert found.tolist() == pytest.approx([*expected, 0], abs=0.01)


def test_pixels_of_sure_classes_seldom_count() -> None:
    method = build(method__ael__pseudo__sampling=2)
    known(method, 0.9, 0.6, 0.2, math.nan)
    torch.testing.assert_close(method.rates(), torch.tensor([1 / 64, 1 / 4, 1, 1]))
    known(method, 1.0, 1.0, 1.0, 1.0)
    assert method.rates().tolist() == [0, 0, 0, 0]


def test_the_loss_weighs_what_counts_by_powers_of_its_confidence(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build(method__ael__pseudo__sharpness=3)
    monkeypatch.setattr(module.AEL, "follow", lambda *words: None)
    known(method, 1.0, 0.3, 0.3, 0.3)  # all pixels of three classes count, and none of the first
    with torch.no_grad():
        method.teacher.classifier.bias.zero_()
    terms, seen = watched(method, step())
    (student_images, student), (clean, teacher) = seen["s"], seen["t"]
    assert torch.equal(clean, batches()[1].images)
    sure, y = teacher.softmax(1).max(1)
    target, confidence = y.clone(), sure.clone()
    for b in range(3):
        for giver in range(3):
            pasted = (student_images[2 + b] == clean[giver]).all(0) & ~(student_images[2 + b] == clean[b]).all(0)
            target[b][pasted], confidence[b][pasted] = y[giver][pasted], sure[giver][pasted]
    weights = confidence.double() ** 3 * (target != 0)
    assert 0 < (target == 0).float().mean() < 1
    by_hand = oracles.cross_entropy(student[2:], target, None, weights)[0] / weights.mean().item()
    assert terms["pseudo"].item() == pytest.approx(by_hand, rel=1e-4)
    torch.testing.assert_close(terms["counted"], (target != 0).float().mean())
    torch.testing.assert_close(terms["least_sure"], torch.tensor(0.3))
    torch.testing.assert_close(terms["loss"], terms["supervised"] + terms["pseudo"])


def test_boxes_of_drawn_classes_come_from_crops_that_show_them(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build()
    y = torch.zeros(3, HEIGHT, WIDTH, dtype=torch.int64)
    y[1, 3:9, 20:30] = 2  # 60 of 1536 pixels: crop 1 alone shows class 2
    images = torch.rand(3, 3, HEIGHT, WIDTH)
    monkeypatch.setattr(module.AEL, "classes", lambda self, now, power, *shape: torch.full(shape, 2))
    mixed, labels, confidence = method.cut_class(step(), images, y, images[:, 0])
    for b in range(3):
        assert torch.equal(mixed[b, :, 3:9, 20:30], images[1, :, 3:9, 20:30])
        assert torch.equal(confidence[b], mixed[b, 0]) and (labels[b] == 2).sum() == 60
        around = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
        around[3:9, 20:30] = False
        assert torch.equal(mixed[b][:, around], images[b][:, around])
    y[1, 3:9, 20:30] = 1  # nobody does
    mixed, _, _ = method.cut_class(step(), images, y, images[:, 0])
    others = [(mixed[b] != images[b]).any(0).float().mean().item() for b in range(3)]
    assert all(share == 0 or abs(share - 0.5) < 0.05 for share in others) and max(others) > 0


def test_whole_classes_of_the_crop_before_are_pasted_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build(method__pseudo__paste_probability=1, method__ael__pseudo__classes=1)
    labelled, _ = batches()
    monkeypatch.setattr(module.AEL, "classes", lambda self, now, power, *shape: torch.full(shape, 1))
    scales = set()
    for seed in range(12):
        now = step(seed=seed)
        images, labels, target = method.copy_paste(now, labelled.images, labelled.labels, labelled.labels)
        assert torch.equal(target, labels)
        changed = (images != labelled.images).any(1)
        assert (labels[changed] == 1).all() and changed.any()
        assert torch.equal(labels[~changed & (labelled.labels != 1)],
                           labelled.labels[~changed & (labelled.labels != 1)])  # fmt: skip
        scales.add(int(changed.sum()))
    assert len(scales) > 6
    # A class of a source crop is no target pixel wherever it is pasted.
    of_source = labelled.labels.clone()
    of_source[0] = 255
    _, labels, target = method.copy_paste(step(seed=1), labelled.images, labelled.labels, of_source)
    assert set(target.unique().tolist()) <= {255, *labels.unique().tolist()}
    pasted = (labels[1] == 1) & (labelled.labels[1] != 1)
    assert pasted.any() and (target[1][pasted] == 255).all()
    never = build()
    assert torch.equal(never.copy_paste(step(), *labelled[:2], labelled.labels)[0], labelled.images)


def test_no_class_is_left_out_by_its_number() -> None:
    """The public code never pastes classes 0, 1, 2, 8 and 10."""
    config = tiny(Path("."), Path("."), method__name="ael")
    method = method_class("ael")(config, build_network_of(config, 12), 4)
    known(method, *[0.5] * 12)
    assert method.classes(step(), 0.5, 2000).unique().tolist() == list(range(12))


def test_padding_and_nothing_at_all_are_no_loss() -> None:
    inside = torch.ones(3, HEIGHT, WIDTH, dtype=torch.bool)
    inside[:, 16:] = False
    method = build()
    terms, _ = watched(method, step(unlabelled=batches()[1]._replace(inside=inside)))
    assert terms["pseudo"] > 0 and 0 < terms["counted"] <= 1
    terms["loss"].backward()
    assert all(p.grad is None for p in method.teacher.parameters())
    terms, _ = watched(build(), step(unlabelled=batches()[1]._replace(inside=inside & False)))
    assert terms["pseudo"] == 0 == terms["counted"] and torch.isfinite(terms["loss"])
