"""PrevMatch by hand: which students are kept, what they label, and how much that counts."""

from pathlib import Path
from typing import Any

import oracles
import pytest
import torch
from by_hand import made
from conftest import tiny
from torch import Tensor

from semiseg.cost.step import step_memory
from semiseg.methods import Batch, Method, Step, method_class
from semiseg.networks import upsample
from semiseg.networks.build import build_network_of

CLASSES, HEIGHT, WIDTH = 5, 32, 48
THRESHOLD = 0.5


def build(iterations: int = 10, **changes: object) -> Method:
    usual: dict[str, object] = {"pseudo__mix_probability": 1, "previous__snapshots": 2, "previous__every": 0.2}
    usual |= {"pseudo__confidence_threshold": THRESHOLD, "previous__confidence_threshold": THRESHOLD}
    words = {f"method__prevmatch__{key}": value for key, value in (usual | changes).items()}
    words |= {"method__warmup": 0, "training__iterations": iterations}
    return made("prevmatch", CLASSES, 30, **words)


def step(iteration: int, inside: Tensor | None = None) -> Step:
    g = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, HEIGHT, WIDTH, generator=g)
    labels = torch.randint(0, CLASSES, (5, HEIGHT, WIDTH), generator=g)
    unlabelled = Batch(images[2:], torch.full_like(labels[2:], 255), inside=inside)
    return Step(Batch(images[:2], labels[:2]), unlabelled, iteration, torch.Generator().manual_seed(4))


def keep(method: Method, *, scale: float = 1.0) -> None:
    """An earlier student that differs from the present one."""
    with torch.no_grad():
        for i, p in enumerate(method.student.parameters()):
            p.add_(scale * 0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
    method.snapshots.store(method.student)  # type: ignore[operator, union-attr]
    with torch.no_grad():
        method.student.classifier.weight.mul_(-1)


def watched(method: Method, now: Step) -> tuple[dict[str, Tensor], list[Tensor], list[Tensor], list[Tensor]]:
    """The terms; images and full-size logits of the student, pass by pass; and those of earlier students."""
    images: list[Tensor] = []
    logits: list[Tensor] = []
    earlier: list[Tensor] = []

    def of_student(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        logits.append(upsample(output, (HEIGHT, WIDTH)).detach())

    def of_earlier(module: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
        assert torch.equal(inputs[0], now.x_u.images), "the weak view"
        earlier.append(upsample(output.logits, (HEIGHT, WIDTH)))

    def seen(module: Any, inputs: tuple[Tensor, ...]) -> None:
        images.append((inputs[0] * method.student.std + method.student.mean).detach())

    hooks = [
        method.student.classifier.register_forward_hook(of_student),
        method.student.backbone.register_forward_pre_hook(seen),
        *(network.register_forward_hook(of_earlier) for network in method.snapshots.kept),  # type: ignore[union-attr]
    ]
    terms = method.losses(now)
    for hook in hooks:
        hook.remove()
    return terms, images, logits, earlier


@pytest.mark.parametrize("weighting", ["threshold", "average"])
def test_the_same_views_learn_from_earlier_students_too(weighting: str) -> None:
    inside = torch.ones(3, HEIGHT, WIDTH, dtype=torch.bool)
    inside[0, 20:] = False
    method, now = build(previous__most=1, previous__weighting=weighting), step(4, inside)
    keep(method)
    terms, (weak_images, images), (weak, logits), (earlier,) = watched(method, now)
    sure, y = earlier.softmax(1).max(1)
    assert (y != weak[:3].argmax(1)).float().mean() > 0.1
    y = y.where(inside, 255)

    def beta(confidence: Tensor, labels: Tensor) -> Tensor:
        if weighting == "threshold":
            return (confidence >= THRESHOLD).double()
        means = [confidence[b][labels[b] != 255].double().mean() for b in range(len(labels))]
        return torch.stack(means)[:, None, None].expand(labels.shape)

    def loss(answers: Tensor, labels: Tensor, confidence: Tensor) -> float:
        value, _ = oracles.cross_entropy(answers, labels, None, beta(confidence, labels))
        return value / (labels != 255).double().mean().item()

    targets, confidences = [], []
    for view in range(2):
        pasted = ((images[2 + 3 * view : 5 + 3 * view] - weak_images.roll(1, 0)).abs() < 1e-6).all(1)
        targets.append(torch.where(pasted, y.roll(1, 0), y))
        confidences.append(torch.where(pasted, sure.roll(1, 0), sure))
    by_hand = 0.5 * loss(logits[2:], torch.cat(targets), torch.cat(confidences)) + 0.5 * loss(weak[3:], y, sure)
    assert terms["previous"].item() == pytest.approx(by_hand, rel=1e-4)
    standard = 0.5 * terms["strong"] + 0.5 * terms["features"]
    total = (terms["supervised"] + standard + 0.8 * terms["previous"]) / 2.8  # 4 of 10 steps
    torch.testing.assert_close(terms["loss"], total)


def test_the_average_weight_does_not_grow_with_the_batch() -> None:
    method = build(previous__weighting="average")
    labels, confidence = torch.zeros(1, 4, 6, dtype=torch.int64), torch.rand(1, 4, 6)
    labels[0, 2:] = 255
    one = method.earlier_weights(labels, confidence)  # type: ignore[operator]
    torch.testing.assert_close(one, confidence[:, :2].mean().expand_as(one))
    several = method.earlier_weights(labels.repeat(7, 1, 1), confidence.repeat(7, 1, 1))  # type: ignore[operator]
    torch.testing.assert_close(several, one.repeat(7, 1, 1))
    nothing = method.earlier_weights(torch.full_like(labels, 255), confidence)  # type: ignore[operator]
    assert not nothing.any()


def test_students_are_kept_by_the_number_of_steps() -> None:
    method, weights = build(), []
    for iteration in range(10):
        with torch.no_grad():
            method.student.classifier.bias.fill_(iteration)
        method.after_step(step(iteration))
        weights.append(sorted(n.classifier.bias[0].item() for n in method.snapshots.kept[: len(method.snapshots)]))  # type: ignore[union-attr, arg-type, index]
    assert weights == [[], [1], [1], [1, 3], [1, 3], [3, 5], [3, 5], [5, 7], [5, 7], [7, 9]]


def test_it_is_unimatch_until_a_student_is_kept() -> None:
    found = []
    for name in ("unimatch", "prevmatch"):
        method = build()
        words = {f"method__{name}__pseudo__{key}": value for key, value in
                 (("mix_probability", 1), ("confidence_threshold", THRESHOLD))}  # fmt: skip
        config = tiny(Path("."), Path("."), method__name=name, method__augment__weak="none", **words)
        other: Method = method_class(name)(config, method.student, 4).train()
        found.append(other.losses(step(3)))
    one, two = found
    assert two["previous"] == 0 == two["confident_previous"]
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, msg=key)


@pytest.mark.parametrize(("iteration", "ramp"), [(0, 0.0), (1, 0.2), (5, 1.0), (6, 0.8), (9, 0.2)])
def test_the_weight_rises_to_half_time_and_falls_back(iteration: int, ramp: float) -> None:
    method = build()
    assert method.ramp(iteration) == 0  # type: ignore[operator]
    keep(method)
    assert method.ramp(iteration) == pytest.approx(ramp)  # type: ignore[operator]


def test_a_resume_has_the_earlier_students() -> None:
    method, again = build(), build()
    keep(method)
    keep(method, scale=2)
    again.load_state_dict(method.state_dict())
    one, two = (m.losses(step(4)) for m in (method, again))
    assert one["previous"] > 0 and {k: v.item() for k, v in one.items()} == {k: v.item() for k, v in two.items()}


def test_memory_of_the_kept_students_is_counted() -> None:
    config = tiny(Path("."), Path("."), method__name="prevmatch")
    more = tiny(Path("."), Path("."), method__name="prevmatch", method__prevmatch__previous__snapshots=9)
    memory, larger = (step_memory(c, CLASSES) for c in (config, more))
    network = build_network_of(config, CLASSES)
    assert larger["weights"] - memory["weights"] >= 4 * sum(v.numel() for v in network.parameters())
    assert larger["gradients"] == memory["gradients"] and larger["optimiser"] == memory["optimiser"]
