"""Dynamic mutual training: DST-CBC where both agree, nothing where the learner is surer, and whose turn it is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny
from torch import Tensor

from semiseg.methods import Batch, Method, Step, method_class
from semiseg.methods import dmt as module
from semiseg.methods.dmt import DynamicMutualTraining
from semiseg.networks.build import build_network_of

CLASSES, HEIGHT, WIDTH = 4, 32, 48
STUDENT, SECOND = 3, 2  # iterations of four in which each learns


def build(name: str = "dmt", **changes: object) -> Any:
    torch.manual_seed(0)
    usual = {"method__augment__weak": "none", "method__class_balance__enabled": False}
    config = tiny(Path("."), Path("."), method__name=name, **usual | changes)
    method: Method = method_class(name)(config, build_network_of(config, CLASSES), 4).train()
    return method


def step(labels: Tensor | None = None, confidence: float = 0.5, iteration: int = STUDENT) -> Step:
    g = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, HEIGHT, WIDTH, generator=g)
    drawn = torch.randint(0, CLASSES, (5, HEIGHT, WIDTH), generator=g)
    stored = Batch(
        images[2:], drawn[2:] if labels is None else labels, confidence=torch.full((3, HEIGHT, WIDTH), confidence)
    )
    return Step(Batch(images[:2], drawn[:2]), stored, iteration, torch.Generator().manual_seed(4))


def own_labels(method: Any) -> Tensor:
    """What the student takes the unlabelled crops for, in the step's own pass."""
    now, seen = step(), {}
    hook = method.student.register_forward_hook(lambda _, x, output: seen.update(logits=output.logits))
    method.losses(now)
    hook.remove()
    full = torch.nn.functional.interpolate(seen["logits"], size=(HEIGHT, WIDTH), mode="bilinear", align_corners=False)
    return full[2:].argmax(1)


def test_where_both_agree_everywhere_it_is_cbc_bit_for_bit() -> None:
    results = []
    for name, gammas in (("dmt", {"gamma_agree": 3, "gamma_disagree": 1}), ("cbc", {"gamma": 3})):
        words = {f"method__{name}__pseudo__{key}": value for key, value in gammas.items()}
        method = build(name, **words, method__weights__pseudo=3, method__weights__supervised=2)
        losses = method.losses(step(own_labels(method)))
        losses["loss"].backward()
        results.append((losses, {n: p.grad for n, p in method.student.named_parameters()}))
    (one, first), (two, second) = results
    assert one["pseudo"] > 0 and {k: v.item() for k, v in one.items()} == {k: v.item() for k, v in two.items()}
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_a_learner_that_is_surer_of_another_class_learns_nothing() -> None:
    method = build()
    other = (own_labels(method) + 1) % CLASSES
    terms = method.losses(step(other, confidence=0.0))
    assert terms["pseudo"] == 0 and terms["weight"] == 0
    grads = torch.autograd.grad(terms["pseudo"], list(method.student.parameters()), allow_unused=True)
    assert not any(g is not None and g.any() for g in grads)
    assert method.losses(step(other, confidence=1.0))["pseudo"] > 0, "the labeller was surer"


@pytest.mark.parametrize(
    ("iteration", "learns", "rests"), [(STUDENT, "student", "second"), (SECOND, "second", "student")]
)
def test_one_learns_and_the_other_rests(iteration: int, learns: str, rests: str) -> None:
    method = build()
    method.losses(step(iteration=iteration))["loss"].backward()
    assert all(p.grad is not None for p in getattr(method, learns).parameters())
    assert all(p.grad is None for p in getattr(method, rests).parameters())


def test_before_the_first_labels_both_learn_from_the_labelled_crops() -> None:
    method, now = build(), step()
    terms = method.losses(now._replace(unlabelled=now.x_u._replace(confidence=None)))
    terms["loss"].backward()
    assert all(p.grad is not None for network in (method.student, method.second) for p in network.parameters())
    assert terms["pseudo"] == 0


@pytest.mark.parametrize(
    ("count", "expected"),
    [(2, [("student", 0.5), ("second", 0.5), ("student", 1.0), ("second", 1.0)]),
     (1, [("student", 1.0), ("second", 1.0)])],
)  # fmt: skip
def test_each_labels_for_the_other_and_the_students_turn_comes_last(
    count: int, expected: list[tuple[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    method: DynamicMutualTraining = build(method__dmt__rounds__count=count, training__iterations=100)
    rounds, said = method.rounds(100), []
    monkeypatch.setattr(module, "store_share", lambda survey, network, classes, share: said.append((network, share)))
    for number in range(1, len(rounds)):
        method.begin_round(number, None)  # type: ignore[arg-type]
        labeller = said[-1][0]
        learner = method.learner(rounds[number].start)
        assert method.learner(rounds[number].stop - 1) is learner
        assert {id(labeller), id(learner)} == {id(method.student), id(method.second)}
    names = {id(method.student): "student", id(method.second): "second"}
    assert [(names[id(network)], share) for network, share in said] == expected


def test_a_run_too_short_for_all_turns_still_ends_with_everything() -> None:
    method: DynamicMutualTraining = build()  # four iterations, ten rounds
    last = len(method.rounds(4)) - 1
    assert last == 3 and method.learner(3) is method.student


def test_they_begin_differently() -> None:
    method = build()
    assert not torch.equal(method.student.classifier.weight, method.second.classifier.weight)
    assert list(method.learners()) == ["student", "second"]
