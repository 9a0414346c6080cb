"""The projection and prediction heads against ordinary layers, with rows left out of the batch statistics."""

import pytest
import torch
from oracles import head as oracle
from torch import Tensor, nn

from semiseg.networks.heads import PredictionHead, ProjectionHead

KINDS = ["projection", "prediction"]


def build(kind: str, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Tensor]:
    """A head whose parameters and running statistics are all random, and nine rows for it."""
    head = ProjectionHead(7, dim=5, hidden=6) if kind == "projection" else PredictionHead(dim=5, hidden=6)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in head.state_dict().items():
            if tensor.is_floating_point():
                values = torch.randn(tensor.shape, generator=generator)
                tensor.copy_(values.abs() + 0.5 if "running_var" in name else values)
    vectors = torch.randn(9, 7 if kind == "projection" else 5, generator=generator, dtype=torch.float64) + 0.5
    return head.to(dtype), vectors.to(dtype)


def running(module: nn.Module) -> list[Tensor]:
    """Running mean and variance, wherever the module keeps them."""
    buffers = {name.rsplit(".")[-1]: buffer.clone() for name, buffer in module.named_buffers()}
    return [buffers["running_mean"], buffers["running_var"]]


def assert_same_parameter_gradients(head: nn.Module, expected: nn.Module) -> None:
    ours, theirs = list(head.parameters()), list(expected.parameters())
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.grad is not None and other.grad is not None
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("mask", ["none", "all"])
def test_without_invalid_rows_it_is_the_ordinary_layers(kind: str, training: bool, mask: str) -> None:
    head, vectors = build(kind)
    expected = oracle(head).train(training)
    valid = None if mask == "none" else torch.ones(len(vectors), dtype=torch.bool)
    out, wanted = head.train(training)(vectors, valid), expected(vectors)
    assert out.shape == (9, 5) and out.dtype == torch.float64
    torch.testing.assert_close(out, wanted, rtol=1e-9, atol=1e-11)
    (out**2).sum().backward()
    (wanted**2).sum().backward()
    assert_same_parameter_gradients(head, expected)
    for mine, other in zip(running(head), running(expected), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("count", [2, 5, 8])
def test_statistics_are_taken_over_valid_rows_only(kind: str, training: bool, count: int) -> None:
    head, vectors = build(kind)
    valid = torch.zeros(len(vectors), dtype=torch.bool)
    valid[torch.randperm(len(vectors), generator=torch.Generator().manual_seed(count))[:count]] = True
    expected = oracle(head).train(training)
    ours, theirs = vectors.clone().requires_grad_(), vectors[valid].clone().requires_grad_()
    out, wanted = head.train(training)(ours, valid), expected(theirs)
    assert out.shape == (9, 5)
    torch.testing.assert_close(out[valid], wanted, rtol=1e-9, atol=1e-11)
    (out[valid] ** 2).sum().backward()
    (wanted**2).sum().backward()
    assert ours.grad is not None and theirs.grad is not None
    torch.testing.assert_close(ours.grad[valid], theirs.grad, rtol=1e-8, atol=1e-10)
    assert not ours.grad[~valid].any()
    assert_same_parameter_gradients(head, expected)
    for mine, other in zip(running(head), running(expected), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_invalid_rows_do_not_influence_the_others(kind: str) -> None:
    (first, vectors), (second, _) = build(kind), build(kind)
    valid = torch.tensor([True, False, True, True, False, True, False, True, True])
    out = first.train()(vectors, valid)
    changed = second.train()(torch.where(valid[:, None], vectors, 1e6), valid)
    assert torch.equal(changed[valid], out[valid])
    assert all(torch.equal(a, b) for a, b in zip(running(first), running(second), strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alone", [False, True], ids=["one of nine", "batch of one"])
def test_one_valid_row_uses_the_running_statistics(kind: str, alone: bool) -> None:
    head, vectors = build(kind)
    before = running(head)
    expected = oracle(head).eval()(vectors[4:5])
    valid = torch.arange(len(vectors)) == 4
    head.train()
    out = head(vectors[4:5], None) if alone else head(vectors, valid)[valid]
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-11)
    assert all(torch.equal(a, b) for a, b in zip(running(head), before, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [0, 9])
def test_no_valid_row_leaves_the_running_statistics_alone(kind: str, rows: int) -> None:
    head, vectors = build(kind)
    before = running(head)
    out = head.train()(vectors[:rows], torch.zeros(rows, dtype=torch.bool))
    assert out.shape == (rows, 5)
    assert all(torch.equal(a, b) for a, b in zip(running(head), before, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_single_precision(kind: str) -> None:
    head, vectors = build(kind)
    exact = head.train()(vectors, None)
    single, _ = build(kind, torch.float32)
    out = single.train()(vectors.float(), None)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.double(), exact, rtol=1e-4, atol=1e-4)


def test_default_widths_are_256() -> None:
    generator = torch.Generator().manual_seed(0)
    projected = ProjectionHead(12)(torch.randn(3, 12, generator=generator), None)
    assert projected.shape == (3, 256)
    prediction = PredictionHead()
    assert prediction(projected, None).shape == (3, 256)
    first, second = [m for m in prediction.modules() if isinstance(m, nn.Linear)]
    assert first.weight.shape == (256, 256) and second.weight.shape == (256, 256)
