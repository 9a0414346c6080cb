"""Eq. 2: the moving average of the student, and the decay rate along the training."""

from typing import Literal

import pytest
import torch
from oracles import momentum as oracle
from torch import nn

from semiseg import teacher

Buffers = Literal["copy", "ema", "keep"]


def network(seed: int, dtype: torch.dtype = torch.float64) -> nn.Module:
    """A small network whose parameters and buffers all depend on the seed."""
    module = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Linear(4, 2)).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator, dtype=dtype) + seed)
            else:
                tensor.fill_(10 + seed)
    return module


def snapshot(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def test_momentum_goes_from_start_to_end() -> None:
    assert teacher.momentum(0, 1000) == pytest.approx(0.995, abs=1e-15)
    assert teacher.momentum(500, 1000) == pytest.approx(0.9975, abs=1e-15)
    assert teacher.momentum(1000, 1000) == pytest.approx(1.0, abs=1e-15)
    values = [teacher.momentum(i, 50) for i in range(51)]
    assert values == sorted(values) and len(set(values)) == 51


@pytest.mark.parametrize("iteration", [0, 1, 37, 499, 777, 1000])
@pytest.mark.parametrize(("start", "end"), [(0.995, 1.0), (0.9, 0.99)])
def test_momentum_follows_half_a_cosine(iteration: int, start: float, end: float) -> None:
    expected = oracle(iteration, 1000, start, end)
    assert teacher.momentum(iteration, 1000, start=start, end=end) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("tau", [0.0, 0.3, 0.995, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_update_averages_every_parameter_in_place(tau: float, dtype: torch.dtype) -> None:
    ours, student = network(1, dtype), network(2, dtype)
    before, source = snapshot(ours), snapshot(student)
    addresses = [parameter.data_ptr() for parameter in ours.parameters()]
    teacher.update(ours, student, tau, buffers="keep")
    assert [parameter.data_ptr() for parameter in ours.parameters()] == addresses
    for name, parameter in ours.named_parameters():
        expected = tau * before[name].double() + (1 - tau) * source[name].double()
        rtol = 1e-6 if dtype == torch.float32 else 1e-12
        torch.testing.assert_close(parameter.double(), expected, rtol=rtol, atol=0)
        assert parameter.grad_fn is None


@pytest.mark.parametrize("buffers", ["copy", "ema", "keep"])
def test_student_is_untouched(buffers: Buffers) -> None:
    ours, student = network(1), network(2)
    before = snapshot(student)
    teacher.update(ours, student, 0.4, buffers=buffers)
    assert all(torch.equal(tensor, before[name]) for name, tensor in student.state_dict().items())
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.zero_()  # no storage may be shared
    assert all(torch.equal(tensor, before[name]) for name, tensor in student.state_dict().items())


@pytest.mark.parametrize(("buffers", "of_student"), [("copy", 1.0), ("ema", 0.6), ("keep", 0.0)])
def test_buffers_policy(buffers: Buffers, of_student: float) -> None:
    ours, student = network(1), network(2)
    before, source = snapshot(ours), snapshot(student)
    teacher.update(ours, student, 0.4, buffers=buffers)
    after = ours.state_dict()
    for name in ("1.running_mean", "1.running_var"):
        expected = (1 - of_student) * before[name] + of_student * source[name]
        torch.testing.assert_close(after[name], expected, rtol=1e-12, atol=0)
    assert after["1.num_batches_tracked"].item() == (11 if buffers == "keep" else 12)
    assert after["1.num_batches_tracked"].dtype == torch.int64


@pytest.mark.parametrize("frozen", [False, True])
def test_repeated_updates_approach_a_still_student(frozen: bool) -> None:
    ours, student = network(1), network(2)
    ours.requires_grad_(not frozen)
    before, source = snapshot(ours), snapshot(student)
    for _ in range(10):
        teacher.update(ours, student, 0.9, buffers="keep")
    for name, parameter in ours.named_parameters():
        expected = 0.9**10 * before[name] + (1 - 0.9**10) * source[name]
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-12, atol=0)
        assert parameter.requires_grad is not frozen


@pytest.mark.parametrize(("share", "total"), [(0.02, 600), (0.5, 40), (1.0, 7)])
def test_half_of_what_the_teacher_knew_is_left_after_its_half_life(share: float, total: int) -> None:
    tau = teacher.momentum_of_half_life(share, total)
    assert tau ** (share * total) == pytest.approx(0.5, rel=1e-12)
    assert teacher.momentum_of_half_life(1e-6, 1) < 1e-6, "below a step: the student itself"


def test_a_teacher_is_a_copy_that_asks_for_no_gradient() -> None:
    student = network(1)
    ours = teacher.make_teacher(student)
    assert all(torch.equal(value, student.state_dict()[name]) for name, value in ours.state_dict().items())
    assert not any(p.requires_grad for p in ours.parameters())
    assert all(p.requires_grad for p in student.parameters())


def test_momentum_stays_at_its_end_behind_the_last_iteration_and_a_run_of_none_has_one() -> None:
    assert teacher.momentum(1500, 1000, 0.5, 0.9) == pytest.approx(0.9, abs=1e-15)
    assert teacher.momentum(0, 0, 0.5, 0.9) == pytest.approx(0.5, abs=1e-15)
    assert teacher.momentum(1, 0, 0.5, 0.9) == pytest.approx(0.9, abs=1e-15)
    assert teacher.momentum_of_half_life(0.5, 0) == 0
    assert teacher.momentum_of_half_life(0.5, 2) == pytest.approx(0.5, abs=1e-15)
