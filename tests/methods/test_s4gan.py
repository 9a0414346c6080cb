"""s4GAN by hand: one score an image, what is learnt from trusted ones, matched features, and the second branch."""

import json
from pathlib import Path
from typing import Any

import oracles
import pytest
import torch
from by_hand import made
from conftest import tiny
from torch import Tensor

from semiseg import evaluate
from semiseg.export import export
from semiseg.methods import Batch, Step
from semiseg.methods.s4gan import S4GAN
from semiseg.networks import Output, upsample
from semiseg.networks.critic import one_hot
from semiseg.runs.checkpoint import load_model
from semiseg.training.loop import Run
from semiseg.training.optimisers import Optimisers

CLASSES, HEIGHT, WIDTH = 4, 32, 48


def build(**changes: object) -> S4GAN:
    usual = {"class_balance.enabled": False, "s4gan.critic.dropout": 0}
    words = {f"method__{k.replace('.', '__')}": v for k, v in (usual | changes).items()}
    method = made("s4gan", CLASSES, **words)
    assert isinstance(method, S4GAN)
    return method


def step(inside: Tensor | None = None, iteration: int = 3) -> Step:
    g = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, HEIGHT, WIDTH, generator=g)
    labels = torch.randint(0, CLASSES, (2, HEIGHT, WIDTH), generator=g)
    labels[:, :, 40:] = 255
    crops = Batch(images[2:], torch.full((3, HEIGHT, WIDTH), 255), inside=inside)
    return Step(Batch(images[:2], labels), crops, iteration, torch.Generator().manual_seed(4))


def unlabelled_logits(method: S4GAN, now: Step) -> Tensor:
    with torch.no_grad():
        given = method.student(torch.cat([now.labelled.images, now.x_u.images])).logits
    return upsample(given, (HEIGHT, WIDTH))[2:]


def scored(method: S4GAN, *scores: float) -> None:
    """A critic whose logits for the unlabelled images are these."""
    forward = method.critic.forward

    def given(maps: Tensor, images: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        found, features = forward(maps, images, draws)
        return (torch.tensor(scores) + 0 * found if len(found) == len(scores) else found), features

    method.critic.forward = given  # type: ignore[method-assign]


def test_trusted_images_alone_are_learnt_from_and_divided_by() -> None:
    method, now = build(), step()
    scored(method, 1.0, -1.0, 0.0)  # sigmoid .73, .27, .5; the threshold is .6
    student = unlabelled_logits(method, now)
    terms = method.losses(now)
    assert terms["trusted"].item() == pytest.approx(1 / 3)
    by_hand, _ = oracles.cross_entropy(student[:1], student[:1].argmax(1))
    assert terms["pseudo"].item() == pytest.approx(by_hand, rel=1e-4)


def test_one_images_score_changes_that_images_term_only() -> None:
    gradients = []
    for score in (1.0, -1.0):
        method, seen = build(), {}
        scored(method, 1.0, score, 1.0)
        method.student.register_forward_hook(lambda _, x, output, seen=seen: seen.update(logits=output.logits))
        terms = method.losses(step())
        (gradient,) = torch.autograd.grad(terms["pseudo"] * terms["trusted"], seen["logits"])  # a sum, not a mean
        gradients.append(gradient[2:])
    one, other = gradients
    torch.testing.assert_close(one[[0, 2]], other[[0, 2]])
    assert one[1].any() and not other[1].any()


def test_features_match_where_the_student_says_what_the_labels_say() -> None:
    """The same pictures on both sides, and a student that knows their labels."""
    now = step()
    labels = now.labelled.labels.clone().clamp_max(CLASSES - 1)
    same = Batch(now.labelled.images, torch.full_like(labels, 255))
    now = now._replace(labelled=now.labelled._replace(labels=labels), unlabelled=same)
    method = build()

    def knows(module: Any, given: Any, output: Output) -> Output:
        return output._replace(logits=output.logits.mean() * 0 + 200 * one_hot(labels, CLASSES).repeat(2, 1, 1, 1))

    assert method.losses(now)["matching"] > 0
    method.student.register_forward_hook(knows)
    assert method.losses(now)["matching"].item() == pytest.approx(0, abs=1e-7)


def test_each_term_by_hand_with_ignored_pixels_cut_from_maps_and_images() -> None:
    inside = torch.ones(3, HEIGHT, WIDTH, dtype=torch.bool)
    inside[:, 20:] = False
    inside[2] = False  # all of it is padding
    method, now = build(), step(inside)
    p = unlabelled_logits(method, now).softmax(1) * inside[:, None]
    valid = now.labelled.labels != 255
    with torch.no_grad():
        fake, features = method.critic(p, now.x_u.images * inside[:, None], now.draws)
        real, wanted = method.critic(
            one_hot(now.labelled.labels, CLASSES), now.labelled.images * valid[:, None], now.draws
        )
    terms = method.losses(now)
    matching = (features[:2].mean(0) - wanted.mean(0)).abs().mean().item()
    assert terms["matching"].item() == pytest.approx(matching, rel=1e-4)
    critic = -(1 - fake[:2].double().sigmoid()).log().mean() / 2 - real.double().sigmoid().log().mean() / 2
    assert terms["critic"].item() == pytest.approx(critic.item(), rel=1e-4)
    assert terms["presence"] == terms["presence_consistency"] == 0
    weighted = terms["supervised"] + terms["pseudo"] + 0.1 * terms["matching"] + terms["critic"]
    torch.testing.assert_close(terms["loss"], weighted)


def test_who_learns_from_what() -> None:
    method = build(**{"s4gan.multi_label.enabled": True, "s4gan.pseudo.score_threshold": 0})
    assert method.multi_label is not None
    parts = {"student": method.student, "critic": method.critic, "classifier": method.multi_label.classifier,
             "teacher": method.multi_label.teacher}  # fmt: skip
    terms = method.losses(step())
    learners = {}
    for term in ("pseudo", "matching", "critic", "presence", "presence_consistency"):
        terms[term].backward(retain_graph=True)
        moved = (n for n, m in parts.items() if any(p.grad is not None and p.grad.any() for p in m.parameters()))
        learners[term] = set(moved)
        method.zero_grad()
    assert learners == {"pseudo": {"student"}, "matching": {"student"}, "critic": {"critic"},
                        "presence": {"classifier"}, "presence_consistency": {"classifier"}}  # fmt: skip


def test_a_class_that_the_second_branch_does_not_find_is_not_learnt() -> None:
    method, now = build(**{"s4gan.multi_label.enabled": True, "s4gan.pseudo.score_threshold": 0}), step()
    student = unlabelled_logits(method, now)
    absent = int(student.argmax(1).flatten().mode().values)
    assert method.multi_label is not None
    with torch.no_grad():
        method.multi_label.teacher.linear.weight.zero_()
        method.multi_label.teacher.linear.bias.fill_(5.0)[absent] = -5.0
    terms = method.losses(now)
    without = student.clone()
    without[:, absent] = -1e9
    by_hand, _ = oracles.cross_entropy(student, without.argmax(1))
    assert terms["pseudo"].item() == pytest.approx(by_hand, rel=1e-4)


def test_the_classifiers_teacher_follows_it_and_both_have_their_optimisers() -> None:
    method = build(**{"s4gan.multi_label.enabled": True, "teacher.momentum_start": 0.9})
    assert method.multi_label is not None
    old = method.multi_label.teacher.linear.weight.clone()
    with torch.no_grad():
        method.multi_label.classifier.linear.weight.add_(1.0)
    now = step(iteration=0)
    method.after_step(now)
    torch.testing.assert_close(method.multi_label.teacher.linear.weight, old + 0.1)
    optimisers = Optimisers(method).by_name
    rates = {name: optimiser.param_groups[0]["lr"] for name, optimiser in optimisers.items()}
    assert rates == {"main": 0.01, "critic": 1e-4, "classifier": 0.03}
    assert set(Optimisers(build()).by_name) == {"main", "critic"}


def test_the_two_branches_meet_in_validations_and_predictions(folder: Path, tmp_path: Path) -> None:
    """Of Mittal et al.: at test time maps of classes that the classifier's teacher does not find are left out."""
    words = {"method__name": "s4gan", "method__s4gan__multi_label__enabled": True, "training__iterations": 2,
             "training__validate_every": 2, "method__s4gan__multi_label__optimiser__learning_rate": 0.001}  # fmt: skip
    run = Run(tiny(folder, tmp_path / "run", **words))
    with torch.no_grad():  # class 1 is nowhere, whatever the student says
        for linear in (run.method.multi_label.teacher.linear, run.method.multi_label.classifier.linear):
            linear.bias.copy_(torch.tensor([5.0, -50.0, 5.0]))
        run.method.student.classifier.bias.copy_(torch.tensor([0.0, 9.0, 0.0]))
    run.train(progress=False)
    assert run.method.student.presence is None, "training goes on without"
    assert not any("presence" in key for key in run.method.state_dict() if key.startswith("student."))
    model = load_model(tmp_path / "run", "last")
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plain = run.method.eval().student(images).logits
    found = model.network(images).logits
    assert (plain.argmax(1) == 1).all() and not (found.argmax(1) == 1).any()
    # Two networks of one weight, whose memory need not lie alike: equal but for rounding.
    assert (found <= plain + 1e-4).all()
    torch.testing.assert_close(found[:, [0, 2]], plain[:, [0, 2]], rtol=1e-4, atol=1e-5)
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())["last"]
    assert not any(row[1] for row in result["confusion"]), "no pixel of any class is taken for class 1"
    assert evaluate(tmp_path / "run", which="last").miou == pytest.approx(result["miou"])
    pytest.importorskip("safetensors")
    exported = export(tmp_path / "run", tmp_path / "model.safetensors", format="safetensors", which="last")
    torch.testing.assert_close(load_model(exported).network(images).logits, found)
