"""DST-CBC by hand: one mean over labelled and pseudo-labelled pixels, dynamic weights, and its rounds in a run."""

from dataclasses import replace
from pathlib import Path

import oracles
import pytest
import torch
from conftest import tiny
from torch import Tensor

from semiseg import Config
from semiseg.data.stored_labels import StoredLabels
from semiseg.methods import Batch, Step, method_class
from semiseg.methods.base.views import NOTHING
from semiseg.methods.cbc import ClassBalancedCurriculum
from semiseg.networks import upsample
from semiseg.networks.build import build_network_of
from semiseg.runs.metrics import read_metrics
from semiseg.training.loop import Run

CLASSES, HEIGHT, WIDTH = 4, 32, 48


def build(**changes: object) -> ClassBalancedCurriculum:
    torch.manual_seed(0)
    usual = {"method__augment__weak": "none", "method__class_balance__enabled": False}
    config = tiny(Path("."), Path("."), method__name="cbc", **usual | changes)
    method: ClassBalancedCurriculum = method_class("cbc")(config, build_network_of(config, CLASSES), 4).train()
    return method


def step(stored: bool = True) -> Step:
    g = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, HEIGHT, WIDTH, generator=g)
    labels = torch.randint(0, CLASSES, (5, HEIGHT, WIDTH), generator=g)
    labels[2:, :, 30:] = 255  # not among the surest
    inside = torch.ones(3, HEIGHT, WIDTH, dtype=torch.bool)
    inside[:, 24:] = False
    confidence = torch.rand(3, HEIGHT, WIDTH, generator=g) if stored else None
    unlabelled = Batch(images[2:], labels[2:], inside=inside, confidence=confidence)
    return Step(Batch(images[:2], labels[:2]), unlabelled, 3, torch.Generator().manual_seed(4))


def logits(method: ClassBalancedCurriculum, now: Step) -> tuple[Tensor, Tensor]:
    """Full-size logits of the labelled and of the unlabelled crops, from one pass as in the step."""
    with torch.no_grad():
        given = method.student(torch.cat([now.labelled.images, now.x_u.images])).logits
    both = upsample(given, (HEIGHT, WIDTH))
    return both[:2], both[2:]


def test_one_mean_over_the_pixels_of_both() -> None:
    method, now = build(), step()
    labelled, student = logits(method, now)
    y = now.x_u.labels.where(now.x_u.inside, 255)
    kept = y != 255
    p = student.double().softmax(1).gather(1, y.clamp_max(CLASSES - 1)[:, None])[:, 0] ** 2
    pseudo, _ = oracles.cross_entropy(student, y, None, p, divisor="weights")
    supervised, _ = oracles.cross_entropy(labelled, now.labelled.labels)
    terms = method.losses(now)
    assert terms["pseudo"].item() == pytest.approx(pseudo, rel=1e-4)
    assert terms["weight"].item() == pytest.approx(p[kept].mean().item(), rel=1e-4)
    assert terms["kept"].item() == pytest.approx(24 * 30 / (HEIGHT * WIDTH))
    n_l, n_u = 2 * HEIGHT * WIDTH, int(kept.sum())
    assert terms["loss"].item() == pytest.approx((n_l * supervised + n_u * pseudo) / (n_l + n_u), rel=1e-4)


def test_the_weight_of_pseudo_labels_is_that_of_their_pixels() -> None:
    terms = build(method__cbc__weights__pseudo=3, method__cbc__weights__supervised=2).losses(step())
    n_l, n_u = 2 * HEIGHT * WIDTH, 3 * 3 * 24 * 30
    share = n_u / (n_l + n_u)
    torch.testing.assert_close(terms["loss"], 2 * (1 - share) * terms["supervised"] + share * terms["pseudo"])


@pytest.mark.parametrize("gamma", [0.0, 9.0])
def test_gradients_do_not_flow_through_the_weights(gamma: float) -> None:
    method, now = build(method__cbc__pseudo__gamma=gamma), step()
    seen: dict[str, Tensor] = {}
    method.student.register_forward_hook(lambda _, x, output: seen.update(logits=output.logits))
    terms = method.losses(now)
    (gradient,) = torch.autograd.grad(terms["pseudo"], seen["logits"])
    small = seen["logits"].detach()[2:].requires_grad_()
    student = upsample(small, (HEIGHT, WIDTH))
    y = now.x_u.labels.where(now.x_u.inside, 255)
    p = student.detach().softmax(1).gather(1, y.clamp_max(CLASSES - 1)[:, None])[:, 0] ** gamma
    _, by_hand = oracles.cross_entropy(student, y, None, p, divisor="weights")
    student.backward(torch.from_numpy(by_hand).float())
    torch.testing.assert_close(gradient[2:], small.grad, rtol=1e-4, atol=1e-8)


def test_label_and_confidence_move_with_the_image() -> None:
    """An old version resized the image after its label was made."""
    method, now = build(), step()
    method.views.weak_set = replace(NOTHING, flip=1.0)
    seen: dict[str, Tensor] = {}
    method.student.register_forward_pre_hook(lambda _, given: seen.update(images=given[0]))

    def watched(logits: Tensor, labels: Tensor, confidence: Tensor) -> Tensor:
        seen.update(y=labels, q=confidence)
        return torch.ones_like(confidence)

    method.dynamic = watched  # type: ignore[method-assign]
    method.losses(now)
    assert torch.equal(seen["images"][2:], now.x_u.images.flip(3))
    assert torch.equal(seen["y"], now.x_u.labels.where(now.x_u.inside, 255).flip(2))
    assert torch.equal(seen["q"], now.x_u.confidence.flip(2))


def test_without_stored_labels_it_is_supervised() -> None:
    method, now = build(), step(stored=False)
    terms = method.losses(now)
    with torch.no_grad():
        labelled = upsample(method.student(now.labelled.images).logits, (HEIGHT, WIDTH))
    by_hand, _ = oracles.cross_entropy(labelled, now.labelled.labels)
    assert terms["loss"].item() == pytest.approx(by_hand, rel=1e-4) and terms["pseudo"] == 0


def test_a_run_keeps_a_half_and_then_everything(images: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = {"method__cbc__rounds__count": 2, "method__cbc__rounds__first": 0.34, "training__iterations": 6,
             "training__validate_every": 6, "method__profile": "equal"}  # fmt: skip
    config: Config = tiny(images, run, method__name="cbc", **words)
    Run(config).train(progress=False)
    kept = []
    for number in (1, 2):
        stored = StoredLabels(run / "pseudo_labels" / f"round_{number}")
        assert len(stored.indices()) == 7
        kept.append(sum(float((stored.read(i)[0] != 255).mean()) for i in stored.indices()) / 7)
    assert kept == pytest.approx([0.5, 1.0], abs=0.01) and kept[1] == 1
    rows = [row for row in read_metrics(run) if row["kind"] == "train"]
    assert [row["pseudo"] > 0 for row in rows] == [False] * 2 + [True] * 4
    rates = [row["learning_rate"] for row in rows]
    assert rates[:2] == rates[2:4] == rates[4:], "the schedule begins anew with every round"
