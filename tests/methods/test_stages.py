"""The supervised stage from the methods' side: its losses, and what the teachers begin with."""

from pathlib import Path

import pytest
import torch
from conftest import as_needed, tiny

from semiseg.methods import Batch, Method, Step, method_class, method_names
from semiseg.methods.base.stages import count_over, start_teachers, supervised_losses
from semiseg.networks.build import build_network_of


def build(name: str, **changes: object) -> Method:
    torch.manual_seed(0)
    config = tiny(Path("."), Path("."), method__name=name, **{"method__profile": "equal"} | changes)
    return method_class(name)(config, build_network_of(config, 3), labelled=4).train()


def batches() -> tuple[Batch, Batch]:
    g = torch.Generator().manual_seed(0)
    images, labels = torch.rand(4, 3, 32, 32, generator=g), torch.randint(0, 3, (4, 32, 32), generator=g)
    return Batch(images[:2], labels[:2]), Batch(images[2:], labels[2:])


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@pytest.mark.parametrize("name", method_names())
def test_its_losses_are_those_of_supervised_under_the_names_of_the_method(name: str) -> None:
    labelled, unlabelled = batches()
    method = build(name)
    found = supervised_losses(method, Step(labelled, None, 3, generator()))
    whole = build(name).losses(Step(labelled, as_needed(unlabelled, method.needs), 3, generator()))
    expected = []
    for network in build(name).learners().values():
        alone = build("supervised")
        alone.student = network
        expected.append(alone.losses(Step(labelled, None, 3, generator()))["loss"])
    assert found.keys() == whole.keys()
    assert torch.equal(found["loss"], torch.stack(expected).sum()) and torch.equal(found["supervised"], found["loss"])
    assert all(value == 0 for key, value in found.items() if key not in ("loss", "supervised"))
    found["loss"].backward()
    learners = [p for network in method.learners().values() for p in network.parameters()]
    assert all(p.grad is not None for p in learners)
    others = {id(p) for p in (*learners, *(p for teacher, _ in method.averages() for p in teacher.parameters()))}
    heads = [p for p in method.parameters() if id(p) not in others]
    assert all(p.grad is None for p in heads)


def test_teachers_begin_with_weights_and_statistics_of_their_students() -> None:
    method = build("memory_bank", method__teacher__buffers="keep")
    pairs = method.averages()
    assert len(pairs) == 4  # network, projection and two attention networks
    with torch.no_grad():
        for value in method.state_dict().values():
            value.copy_(torch.rand(value.shape) * 9) if value.is_floating_point() else value.add_(3)
    kept = {n: v.clone() for n, v in method.state_dict().items() if "teacher" not in n}
    start_teachers(method)
    for teacher, student in pairs:
        states = teacher.state_dict(), student.state_dict()
        assert all(torch.equal(*pair) for pair in zip(*(s.values() for s in states), strict=True))
    assert all(torch.equal(value, method.state_dict()[name]) for name, value in kept.items())


def test_schedules_count_over_the_stage() -> None:
    method = build("memory_bank", method__stages=0.75, training__iterations=400, method__teacher__half_life=0.01)
    assert (method.first_stage, method.iterations, method.warmup, method.views.warmup) == (300, 100, 25, 25)
    assert method.pseudo_weight(24) == 0 < method.pseudo_weight(25)
    assert method.tau(0) == 0.5  # half of it is forgotten after one of the 100 steps
    count_over(method, 300)
    assert (method.iterations, method.warmup, method.views.warmup) == (300, 75, 75)


def test_a_method_that_needs_no_unlabelled_images_has_one_stage() -> None:
    method = build("supervised", method__stages=0.5)
    assert (method.first_stage, method.iterations) == (0, 4)
