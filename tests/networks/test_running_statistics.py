"""Running statistics: the first batch sets them whole, later ones move them, a teacher takes the first ones over."""

import pytest
import torch
from torch import Tensor

from semiseg.networks.class_attention import ClassAttention
from semiseg.networks.heads import MaskedBatchNorm
from semiseg.networks.running_statistics import hand_on, move, unmoved


def rows(seed: int = 0) -> Tensor:
    return 3 + 2 * torch.randn(20, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_first_batch_sets_them_whole_and_later_ones_move_them(dtype: torch.dtype) -> None:
    layer = MaskedBatchNorm(4).to(dtype).train()
    first, second = rows(0).to(dtype), rows(1).to(dtype)
    assert unmoved(layer)
    layer(first)
    torch.testing.assert_close(layer.running_mean, first.mean(0))
    torch.testing.assert_close(layer.running_var, first.var(0))
    assert not unmoved(layer)
    layer(second)
    torch.testing.assert_close(layer.running_mean, 0.9 * first.mean(0) + 0.1 * second.mean(0))
    torch.testing.assert_close(layer.running_var, 0.9 * first.var(0) + 0.1 * second.var(0))


@pytest.mark.parametrize("n", [0.0, 1.0])
def test_too_few_rows_move_nothing(n: float) -> None:
    layer = MaskedBatchNorm(4)
    move(layer, torch.full((4,), 5.0), torch.full((4,), 7.0), torch.tensor(n), 0.1)
    assert unmoved(layer)


def test_every_class_of_the_attention_begins_by_itself() -> None:
    attention = ClassAttention(3, 4, 5).double().train()
    attention(rows(), torch.arange(20) % 2)
    assert unmoved(attention).flatten().tolist() == [False, False, True]
    attention(rows(1), 1 + torch.arange(20) % 2)
    hidden = rows(1)[1::2] @ attention.weight1[2].T + attention.bias1[2]
    torch.testing.assert_close(attention.running_mean[2], hidden.mean(0).detach())


def test_what_is_handed_on_replaces_no_statistics_of_ones_own() -> None:
    source, to = (ClassAttention(3, 4, 5) for _ in range(2))
    source.running_mean.fill_(2.0)
    source.running_var.fill_(3.0)
    to.running_mean[1] = 9.0
    hand_on(source, to)
    assert to.running_mean[:, 0].tolist() == [2, 9, 2] and to.running_var[:, 0].tolist() == [3, 1, 3]


@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_statistics_of_the_call_stand_in_until_there_are_running_ones(count: int) -> None:
    layer, x, valid = MaskedBatchNorm(4).double().eval(), rows(), torch.arange(20) < count
    found = layer(x, valid, stand_in=True)
    some = x[valid]
    enough = count > 1
    wanted = (x - some.mean(0)) * (some.var(0, correction=0) + layer.eps).rsqrt() if enough else layer(x)
    torch.testing.assert_close(found, wanted)
    assert unmoved(layer), "looking moves nothing"
    assert torch.equal(layer(x, valid), layer(x)), "only where it is asked for"
    layer.running_mean.fill_(1.0)
    torch.testing.assert_close(layer(x, valid, stand_in=True), layer(x))


def test_statistics_of_a_class_stand_in_for_that_class_alone() -> None:
    attention, x, labels = ClassAttention(4, 4, 5).double().eval(), rows(), torch.arange(20) % 3
    labels[labels == 2] = torch.tensor([3] + [255] * 5)  # class 3 has one row
    attention.running_mean[1] = 0.5
    usual, found = attention(x, labels), attention(x, labels, stand_in=True)
    assert torch.equal(found[labels != 0], usual[labels != 0])
    in_training = attention.train()(x, labels)
    torch.testing.assert_close(found[labels == 0], in_training[labels == 0])
    assert not torch.isclose(found[labels == 0], usual[labels == 0]).any()
