"""Error-correcting supervision by hand: a corrector that knows the truth, one that agrees, and who learns from what."""

from collections.abc import Callable

import oracles
import pytest
import torch
from by_hand import made
from torch import Tensor

from semiseg.methods import Batch, Step
from semiseg.methods.error_correcting import ErrorCorrecting
from semiseg.networks import upsample
from semiseg.networks.critic import one_hot

CLASSES, HEIGHT, WIDTH = 4, 32, 48
RIGHT = CLASSES


def build(**changes: object) -> ErrorCorrecting:
    method = made("error_correcting", CLASSES, **{"method__class_balance__enabled": False, **changes})
    assert isinstance(method, ErrorCorrecting)
    return method


def step(inside: Tensor | None = None, iteration: int = 3) -> Step:
    g = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, HEIGHT, WIDTH, generator=g)
    labels = torch.randint(0, CLASSES, (2, HEIGHT, WIDTH), generator=g)
    labels[:, :, 40:] = 255
    crops = Batch(images[2:], torch.full((3, HEIGHT, WIDTH), 255), inside=inside)
    return Step(Batch(images[:2], labels), crops, iteration, torch.Generator().manual_seed(4))


def logits(method: ErrorCorrecting, now: Step) -> tuple[Tensor, Tensor]:
    """Full-size logits of the labelled and of the unlabelled crops, from one pass as in the step."""
    with torch.no_grad():
        given = method.student(torch.cat([now.labelled.images, now.x_u.images])).logits
    both = upsample(given, (HEIGHT, WIDTH))
    return both[:2], both[2:]


def says(method: ErrorCorrecting, answer: Callable[[Tensor], Tensor]) -> None:
    """A corrector whose logits for the unlabelled crops are these, given the maps."""
    forward = method.corrector.forward
    method.corrector.forward = (  # type: ignore[method-assign]
        lambda images, maps: answer(maps) if len(images) == 3 else forward(images, maps)
    )


def test_an_oracle_makes_it_supervision() -> None:
    method, now = build(), step()
    _, student = logits(method, now)
    truth = torch.randint(0, CLASSES, (3, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(1))
    mistakes = student.argmax(1) != truth
    assert 0.2 < mistakes.float().mean() < 1
    says(method, lambda maps: 1e3 * one_hot(truth.where(maps.argmax(1) != truth, RIGHT), CLASSES + 1))
    terms = method.losses(now)
    by_hand, _ = oracles.cross_entropy(student, truth)
    assert terms["pseudo"].item() == pytest.approx(by_hand, rel=1e-4)
    assert terms["certainty"] == 1
    assert terms["corrected"].item() == pytest.approx(mistakes.float().mean().item())


def test_a_corrector_that_calls_everything_right_makes_it_self_training() -> None:
    method, now = build(), step()
    _, student = logits(method, now)
    says(method, lambda maps: 1e3 * one_hot(torch.full((3, HEIGHT, WIDTH), RIGHT), CLASSES + 1))
    terms = method.losses(now)
    by_hand, _ = oracles.cross_entropy(student, student.argmax(1))
    assert terms["pseudo"].item() == pytest.approx(by_hand, rel=1e-4)
    assert terms["corrected"] == 0


def test_pixels_count_by_certainty_and_padding_not_at_all() -> None:
    inside = torch.ones(3, HEIGHT, WIDTH, dtype=torch.bool)
    inside[:, 20:] = False
    method, now = build(), step(inside)
    _, student = logits(method, now)
    said = 3 * torch.randn(3, CLASSES + 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    says(method, lambda maps: said)
    certainty, answer = said.double().softmax(1).max(1)
    target = torch.where(answer == RIGHT, student.argmax(1), answer).where(inside, 255)
    by_hand, _ = oracles.cross_entropy(student, target, None, certainty, divisor="weights")
    terms = method.losses(now)
    assert terms["pseudo"].item() == pytest.approx(by_hand, rel=1e-4)
    assert terms["certainty"].item() == pytest.approx(certainty[inside].mean().item(), rel=1e-4)


def test_the_corrector_learns_what_is_right_and_what_it_should_be() -> None:
    method, now = build(), step()
    student, _ = logits(method, now)
    with torch.no_grad():
        found = method.corrector(now.labelled.images, student.softmax(1))
    y = now.labelled.labels
    valid = y != 255
    answer = y.clone()
    answer[valid & (student.argmax(1) == y)] = RIGHT
    assert {RIGHT, *range(CLASSES)} <= set(answer.unique().tolist())
    terms = method.losses(now)
    by_hand, _ = oracles.cross_entropy(found, answer, divisor="weights")
    assert terms["corrector"].item() == pytest.approx(by_hand, rel=1e-4)
    by_hand, _ = oracles.cross_entropy(found, torch.full_like(y, RIGHT).where(valid, 255), divisor="weights")
    assert terms["auxiliary"].item() == pytest.approx(by_hand, rel=1e-4)
    weighted = terms["supervised"] + terms["pseudo"] + 0.1 * terms["auxiliary"] + terms["corrector"]
    torch.testing.assert_close(terms["loss"], weighted)


def test_who_learns_from_what() -> None:
    method = build()
    terms, learners = method.losses(step()), {}
    for term in ("pseudo", "auxiliary", "corrector"):
        terms[term].backward(retain_graph=True)
        parts = {"student": method.student, "corrector": method.corrector}
        moved = (n for n, m in parts.items() if any(p.grad is not None and p.grad.any() for p in m.parameters()))
        learners[term] = set(moved)
        method.zero_grad()
    assert learners == {"pseudo": {"student"}, "auxiliary": {"student"}, "corrector": {"corrector"}}


def test_pseudo_labels_rest_during_the_warmup() -> None:
    method = build(training__iterations=100)
    early, late = method.losses(step(iteration=24)), method.losses(step(iteration=25))
    rest = [t["loss"] - t["supervised"] - 0.1 * t["auxiliary"] - t["corrector"] for t in (early, late)]
    assert rest[0].item() == pytest.approx(0, abs=1e-5)
    assert rest[1].item() == pytest.approx(late["pseudo"].item(), rel=1e-4)
