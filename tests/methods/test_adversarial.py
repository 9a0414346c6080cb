"""Adversarial learning by hand: what the critic trusts, who learns from what, and ignored pixels on both sides."""

import oracles
import pytest
import torch
import torch.nn.functional as F
from by_hand import made
from torch import Tensor

from semiseg.methods import Batch, Step
from semiseg.methods.adversarial import Adversarial
from semiseg.networks import upsample
from semiseg.training.optimisers import Optimisers

CLASSES, HEIGHT, WIDTH = 4, 32, 48


def build(**changes: object) -> Adversarial:
    method = made("adversarial", CLASSES, **{"method__class_balance__enabled": False, **changes})
    assert isinstance(method, Adversarial)
    return method


def step(iteration: int = 3, inside: Tensor | None = None, ignored: bool = False) -> Step:
    g = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, HEIGHT, WIDTH, generator=g)
    labels = torch.randint(0, CLASSES, (2, HEIGHT, WIDTH), generator=g)
    labels[:, :, 40:] = 255
    if ignored:
        labels[:] = 255
    nothing = torch.full((3, HEIGHT, WIDTH), 255)
    crops = Batch(images[2:], nothing, inside=inside)
    return Step(Batch(images[:2], labels), crops, iteration, torch.Generator().manual_seed(4))


def always(method: Adversarial, score: float) -> None:
    """A critic that gives every pixel this logit, whatever it sees."""
    with torch.no_grad():
        for p in method.critic.parameters():
            p.zero_()
        method.critic.layers[-1].bias.fill_(score)


def logits(method: Adversarial, now: Step) -> tuple[Tensor, Tensor]:
    """Full-size logits of the labelled and of the unlabelled crops, from one pass as in the step."""
    with torch.no_grad():
        given = method.student(torch.cat([now.labelled.images, now.x_u.images])).logits
    both = upsample(given, (HEIGHT, WIDTH))
    return both[:2], both[2:]


def test_a_critic_above_the_threshold_makes_it_plain_self_training_and_one_below_nothing() -> None:
    method, now = build(), step()
    always(method, 1.0)
    _, student = logits(method, now)
    terms = method.losses(now)
    assert terms["trusted"] == 1
    by_hand, _ = oracles.cross_entropy(student, student.argmax(1))
    assert terms["pseudo"].item() == pytest.approx(by_hand, rel=1e-4)
    always(method, -2.0)  # sigmoid .12
    terms = method.losses(now)
    assert terms["trusted"] == 0 and terms["pseudo"] == 0
    grads = torch.autograd.grad(terms["pseudo"], list(method.student.parameters()), allow_unused=True)
    assert not any(g is not None and g.any() for g in grads)


def test_trusted_pixels_alone_count_and_are_divided_by() -> None:
    method, now = build(), step()
    with torch.no_grad():
        method.critic.layers[-1].weight.mul_(30)
        scores = method.critic(logits(method, now)[1].softmax(1)).sigmoid()
    threshold = scores.median().item()
    method = build(method__adversarial__pseudo__score_threshold=threshold)
    with torch.no_grad():
        method.critic.layers[-1].weight.mul_(30)
    _, student = logits(method, now)
    target = student.argmax(1)
    target[scores < threshold] = 255
    share = (target != 255).double().mean().item()
    assert 0.4 < share < 0.6
    terms = method.losses(now)
    assert terms["trusted"].item() == pytest.approx(share, abs=0.01)
    by_hand, _ = oracles.cross_entropy(student, target, divisor="weights")
    assert terms["pseudo"].item() == pytest.approx(by_hand, rel=1e-3)


def test_nothing_is_trusted_before_the_start() -> None:
    method = build(training__iterations=20_000)
    always(method, 9.0)
    assert method.losses(step(iteration=4_999))["pseudo"] == 0
    assert method.losses(step(iteration=5_000))["pseudo"] > 0


def test_each_term_by_hand_with_ignored_pixels_cut_from_both_sides() -> None:
    inside = torch.ones(3, HEIGHT, WIDTH, dtype=torch.bool)
    inside[:, 20:] = False
    method, now = build(), step(inside=inside)
    student_l, student_u = logits(method, now)
    valid = torch.cat([now.labelled.labels != 255, inside])
    p = torch.cat([student_l, student_u]).softmax(1) * valid[:, None]
    real = F.one_hot(now.labelled.labels.where(valid[:2], 0), CLASSES).permute(0, 3, 1, 2) * valid[:2, None]
    with torch.no_grad():
        fake_scores, real_scores = method.critic(p).double(), method.critic(real.float()).double()

    def bce(scores: Tensor, answer: int, where: Tensor) -> float:
        chosen = scores[where].sigmoid()
        return -(chosen if answer else 1 - chosen).log().mean().item()

    terms = method.losses(now)
    assert terms["adversarial"].item() == pytest.approx(bce(fake_scores[:2], 1, valid[:2]), rel=1e-4)
    assert terms["adversarial_unlabelled"].item() == pytest.approx(bce(fake_scores[2:], 1, valid[2:]), rel=1e-4)
    critic = (bce(fake_scores, 0, valid) + bce(real_scores, 1, valid[:2])) / 2
    assert terms["critic"].item() == pytest.approx(critic, rel=1e-4)
    weighted = terms["supervised"] + 0.1 * terms["pseudo"] + 0.01 * terms["adversarial"]
    weighted = weighted + 0.001 * terms["adversarial_unlabelled"] + terms["critic"]
    torch.testing.assert_close(terms["loss"], weighted)


def test_the_critic_moves_no_student_and_the_student_no_critic() -> None:
    method = build()
    terms = method.losses(step())
    student, critic = list(method.student.parameters()), list(method.critic.parameters())

    def gradients(term: Tensor, of: list[torch.nn.Parameter]) -> float:
        grads = torch.autograd.grad(term, of, allow_unused=True, retain_graph=True)
        return sum(g.abs().sum().item() for g in grads if g is not None)

    assert gradients(terms["critic"], critic) > 0 == gradients(terms["critic"], student)
    for term in ("adversarial", "adversarial_unlabelled"):
        assert gradients(terms[term], student) > 0 == gradients(terms[term], critic)
    assert gradients(terms["pseudo"], critic) == 0


def test_deceiving_means_higher_scores() -> None:
    """A step down the adversarial term alone makes the critic, who stands still, take predictions for labels."""
    method, now = build(), step()
    before = method.losses(now)["adversarial_unlabelled"]
    params = list(method.student.parameters())
    for p, g in zip(params, torch.autograd.grad(before, params), strict=True):
        p.data -= 5.0 * g
    assert method.losses(now)["adversarial_unlabelled"] < before


def test_without_a_labelled_pixel_the_real_side_is_finite() -> None:
    method = build()
    terms = method.losses(step(ignored=True))
    terms["loss"].backward()
    assert all(torch.isfinite(v) for v in terms.values()) and terms["adversarial"] == 0
    assert all(torch.isfinite(p.grad).all() for p in method.critic.parameters())


def test_the_critic_has_an_adam_of_its_own() -> None:
    optimisers = Optimisers(build(training__learning_rate=0.5)).by_name
    adam = optimisers["critic"]
    assert isinstance(adam, torch.optim.Adam) and isinstance(optimisers["main"], torch.optim.SGD)
    assert adam.param_groups[0]["lr"] == 1e-4 and adam.param_groups[0]["betas"] == (0.9, 0.99)
