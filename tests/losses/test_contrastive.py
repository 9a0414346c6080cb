"""Eqs. 8-11 against the explicit double sum, values and gradients."""

from typing import Any

import pytest
import torch
from oracles import contrastive as oracle
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from two_processes import of_both

from semiseg.losses import class_means, contrastive_loss, effective_share, lost_share, normalised_weights

CLASSES = 4
Case = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def case(
    seed: int,
    n: int = 17,
    m: int = 13,
    dim: int = 6,
    p_classes: tuple[int, ...] = tuple(range(CLASSES)),
    z_classes: tuple[int, ...] = tuple(range(CLASSES)),
) -> Case:
    """Random p, p_labels, p_scores, z, z_labels, z_scores whose labels are drawn from the given classes."""
    generator = torch.Generator().manual_seed(seed)

    def side(count: int, classes: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
        vectors = torch.randn(count, dim, generator=generator, dtype=torch.float64)
        labels = torch.tensor(classes)[torch.randint(len(classes), (count,), generator=generator)]
        return vectors, labels, 0.01 + 0.98 * torch.rand(count, generator=generator, dtype=torch.float64)

    return (*side(n, p_classes), *side(m, z_classes))


def learnable(values: Case) -> Case:
    """The same, with fresh leaves for what is trained: p and both scores."""
    p, p_labels, p_scores, z, z_labels, z_scores = values
    trained = [tensor.detach().clone().requires_grad_() for tensor in (p, p_scores, z_scores)]
    return trained[0], p_labels, trained[1], z, z_labels, trained[2]


def converted(values: Case, dtype: torch.dtype) -> Case:
    p, p_labels, p_scores, z, z_labels, z_scores = values
    return p.to(dtype), p_labels, p_scores.to(dtype), z.to(dtype), z_labels, z_scores.to(dtype)


def gradients(values: Case) -> list[Tensor]:
    found = [values[k].grad for k in (0, 2, 5)]
    assert all(gradient is not None for gradient in found)
    return [gradient for gradient in found if gradient is not None]


def check_against_double_sum(values: Case, num_classes: int = CLASSES) -> None:
    ours, theirs = learnable(values), learnable(values)
    loss, expected = contrastive_loss(*ours, num_classes), oracle(*theirs, num_classes)
    loss.backward()
    expected.backward()
    assert loss.shape == () and loss.dtype == torch.float64
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
    for ours_gradient, theirs_gradient in zip(gradients(ours), gradients(theirs), strict=True):
        scale = theirs_gradient.abs().max().item()
        assert scale > 0
        torch.testing.assert_close(ours_gradient, theirs_gradient, rtol=1e-6, atol=1e-9 * scale)


def test_hand_computed() -> None:
    # Weights of p: (0.5, 1.5); the single z weighs 1; cosines 1 and 0.
    # Half of 0.5 * 0 + 1.5 * 1, over two classes.
    loss = contrastive_loss(
        torch.tensor([[1.0, 0.0], [0.0, 2.0]]),
        torch.tensor([0, 0]),
        torch.tensor([0.2, 0.6]),
        torch.tensor([[3.0, 0.0]]),
        torch.tensor([0]),
        torch.tensor([0.9]),
        2,
    )
    assert loss.item() == pytest.approx(0.375, rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_value_and_gradients(seed: int) -> None:
    check_against_double_sum(case(seed))


def test_classes_absent_from_batch_or_bank_add_zero_and_the_divisor_stays() -> None:
    # Class 0 only in the batch, class 3 only in the bank, class 4 in neither.
    values = case(5, p_classes=(0, 1, 2), z_classes=(1, 2, 3))
    check_against_double_sum(values, 5)
    ours = learnable(values)
    contrastive_loss(*ours, 5).backward()
    of_p, of_p_scores, of_z_scores = gradients(ours)
    absent, unmatched = values[1] == 0, values[4] == 3
    assert absent.any() and unmatched.any()
    assert not of_p[absent].any() and not of_p_scores[absent].any() and not of_z_scores[unmatched].any()


@pytest.mark.parametrize("ignored", [255, CLASSES, -1])
def test_labels_outside_the_classes_are_ignored(ignored: int) -> None:
    values = case(6, p_classes=(0, 1, 2, 3, ignored), z_classes=(0, 1, 2, 3, ignored))
    assert (values[1] == ignored).any() and (values[4] == ignored).any()
    check_against_double_sum(values)
    in_p, in_z = values[1] != ignored, values[4] != ignored
    p, p_labels, p_scores = (value[in_p] for value in values[:3])
    z, z_labels, z_scores = (value[in_z] for value in values[3:])
    without = p, p_labels, p_scores, z, z_labels, z_scores
    assert contrastive_loss(*values, CLASSES).item() == pytest.approx(
        contrastive_loss(*without, CLASSES).item(), rel=1e-12
    )


def test_ignored_rows_with_score_zero_change_nothing() -> None:
    # The attention scores such rows 0: they must not make 0 / 0.
    p, p_labels, p_scores, z, z_labels, z_scores = case(6, p_classes=(0, 1, 2, 3, 255))
    p_scores = torch.where(p_labels == 255, 0.0, p_scores)
    check_against_double_sum((p, p_labels, p_scores, z, z_labels, z_scores))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("n", "m", "p_classes", "z_classes"),
    [
        (0, 0, (0,), (0,)),
        (4, 0, (0, 1), (0,)),
        (0, 4, (0,), (0, 1)),
        (4, 4, (255,), (0, 1)),
        (4, 4, (0, 1), (CLASSES,)),
        (4, 4, (0, 1), (2, 3)),
    ],
    ids=["both empty", "empty bank", "empty batch", "batch ignored", "bank ignored", "no class in common"],
)
def test_no_pair_gives_zero_with_zero_gradients(
    n: int, m: int, p_classes: tuple[int, ...], z_classes: tuple[int, ...], dtype: torch.dtype
) -> None:
    values = case(7, n, m, p_classes=p_classes, z_classes=z_classes)
    ours = learnable(converted(values, dtype))
    loss = contrastive_loss(*ours, CLASSES)
    loss.backward()
    assert loss.item() == 0 and loss.dtype == dtype
    for gradient in gradients(ours):
        assert torch.equal(gradient, torch.zeros_like(gradient))


def test_single_pair_is_one_minus_cosine_and_its_scores_get_no_gradient() -> None:
    p, z = torch.tensor([[3.0, 4.0]], dtype=torch.float64), torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    label, score = torch.tensor([1]), torch.tensor([0.3], dtype=torch.float64)
    ours = learnable((p, label, score, z, label, 2 * score))
    loss = contrastive_loss(*ours, 3)
    loss.backward()
    assert loss.item() == pytest.approx((1 - 3 / 5) / 3, rel=1e-12)
    of_p, of_p_score, of_z_score = gradients(ours)
    assert of_p_score.abs().item() < 1e-12 and of_z_score.abs().item() < 1e-12
    # d cos / d p = (z - cos p / |p|) / |p| = (0.128, -0.096)
    expected = torch.tensor([[-0.128, 0.096]], dtype=torch.float64) / 3
    torch.testing.assert_close(of_p, expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("zeroed", [0, 3], ids=["p", "z"])
def test_zero_vectors_stay_finite(zeroed: int, dtype: torch.dtype) -> None:
    ours = learnable(converted(case(8), dtype))
    with torch.no_grad():
        ours[zeroed][:5] = 0
    loss = contrastive_loss(*ours, CLASSES)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(gradient).all() for gradient in gradients(ours))


@pytest.mark.parametrize("scale", [1e-6, 0.5, 1e3])
@pytest.mark.parametrize("scaled", [2, 5], ids=["p_scores", "z_scores"])
def test_weights_do_not_feel_the_scale_of_a_class(scaled: int, scale: float) -> None:
    values = case(9)
    before = contrastive_loss(*values, CLASSES).item()
    of_class = values[scaled - 1] == 2
    with torch.no_grad():
        values[scaled][of_class] *= scale
    assert contrastive_loss(*values, CLASSES).item() == pytest.approx(before, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_cosine_does_not_feel_the_length_of_vectors(scale: float) -> None:
    values = case(10)
    changed = (scale * values[0], *values[1:3], values[3] / scale, *values[4:])
    assert contrastive_loss(*changed, CLASSES).item() == pytest.approx(
        contrastive_loss(*values, CLASSES).item(), rel=1e-9
    )


def test_bounds() -> None:
    vectors, labels = torch.randn(8, 5, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2
    direction, scores = vectors[:1].expand(8, 5), torch.rand(8, generator=torch.Generator().manual_seed(1))
    same = contrastive_loss(direction, labels, scores, direction, labels, scores, 2)
    opposite = contrastive_loss(direction, labels, scores, -direction, labels, scores, 2)
    assert same.item() == pytest.approx(0, abs=1e-6) and opposite.item() == pytest.approx(2, rel=1e-6)


def test_single_precision() -> None:
    values = case(11, n=60, m=40)
    loss = contrastive_loss(*converted(values, torch.float32), CLASSES)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(oracle(*values, CLASSES).item(), rel=1e-5)


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.numel())
        return out


def test_never_builds_a_matrix_of_all_pairs() -> None:
    n, m, dim = 900, 800, 3
    values = learnable(case(12, n, m, dim, p_classes=(0, 1), z_classes=(0, 1)))
    with LargestTensor() as largest:
        contrastive_loss(*values, CLASSES).backward()
    assert n * dim <= largest.elements <= 2 * (n + m) * (dim + CLASSES) < n * m / 16


@pytest.mark.parametrize("score", [0.0, 1e-38, 1e-31])
def test_scores_next_to_nothing_leave_the_gradients_finite(score: float) -> None:
    generator = torch.Generator().manual_seed(0)
    p, z = (torch.randn(4, 3, generator=generator).requires_grad_() for _ in range(2))
    p_scores, z_scores = (torch.full((4,), score).requires_grad_() for _ in range(2))
    labels = torch.zeros(4, dtype=torch.int64)
    (1000 * contrastive_loss(p, labels, p_scores, z, labels, z_scores, 2)).backward()
    assert all(torch.isfinite(x.grad).all() for x in (p, z, p_scores, z_scores))


def test_effective_share_counts_the_vectors_that_weigh() -> None:
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 3, 255])
    scores = torch.tensor([0.5, 0.5, 0.5, 0.5, 1e-9, 0.9, 0.3, 0.7])
    share = effective_share(scores, labels, 5)
    assert share.dtype == torch.float64
    torch.testing.assert_close(share[[0, 1, 3]], torch.tensor([1.0, 0.5, 1.0], dtype=torch.float64))
    assert share[[2, 4]].isnan().all(), "no vector, no share"
    g = torch.Generator().manual_seed(0)
    many, classes = torch.rand(300, generator=g), torch.randint(0, 4, (300,), generator=g)
    weights = normalised_weights(many.double(), classes, 4)
    for c, found in enumerate(effective_share(many, classes, 4).tolist()):
        w = weights[classes == c]
        assert found == pytest.approx(float(w.sum() ** 2 / (w**2).sum() / len(w)), rel=1e-6)


def scored(seed: int = 0, count: int = 40) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (count,), generator=g)
    labels[labels == 2] = 255  # class 2 is absent
    return torch.rand(count, generator=g, dtype=torch.float64), labels


def test_lost_share_is_the_mean_over_the_classes_present() -> None:
    scores, labels = scored()
    by_hand = []
    for c in (0, 1, 3):
        w = [float(s) for s, label in zip(scores, labels, strict=True) if label == c]
        by_hand.append(1 - sum(w) ** 2 / (len(w) * sum(x * x for x in w)))
    assert lost_share(scores, labels, 5).item() == pytest.approx(sum(by_hand) / 3, rel=1e-12)
    share = effective_share(scores, labels, 5)
    assert lost_share(scores, labels, 5).item() == pytest.approx(1 - float(share.nanmean()), rel=1e-12)
    assert lost_share(scores, torch.full_like(labels, 255), 5) == 0
    assert lost_share(torch.full((6,), 0.3), torch.arange(6) % 2, 2).item() == pytest.approx(0, abs=1e-6)


def test_gradient_of_lost_share() -> None:
    scores, labels = scored()
    assert torch.autograd.gradcheck(lambda s: lost_share(s, labels, 5), scores.clone().requires_grad_())
    single, double = scores.float().requires_grad_(), scores.clone().requires_grad_()
    lost_share(single, labels, 5).backward()
    lost_share(double, labels, 5).backward()
    assert single.grad is not None and double.grad is not None and double.grad.abs().sum() > 0
    torch.testing.assert_close(single.grad.double(), double.grad, rtol=1e-4, atol=1e-6)
    assert not double.grad[labels == 255].any()


@pytest.mark.parametrize("score", [9e-14, 1.0])
def test_lost_share_of_the_least_scores_is_finite(score: float) -> None:
    scores = torch.full((3,), score).requires_grad_()
    lost = lost_share(scores, torch.tensor([0, 0, 1]), 3)
    lost.backward()
    assert lost.item() == pytest.approx(0, abs=1e-6) and torch.isfinite(scores.grad).all()


def test_lost_share_in_half_precision_is_single() -> None:
    scores, labels = scored()
    assert lost_share(scores.bfloat16(), labels, 5).dtype == torch.float32


def test_two_processes_have_the_loss_and_the_lost_share_of_all_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    g = torch.Generator().manual_seed(0)
    p, z = torch.randn(8, 4, generator=g).double(), torch.randn(6, 4, generator=g).double()
    p_labels, z_labels = torch.tensor([0, 0, 1, 255, 1, 1, 2, 0]), torch.tensor([0, 0, 1, 1, 2, 3])
    p_scores, z_scores = torch.rand(8, generator=g).double(), torch.rand(6, generator=g).double()

    def both(some: slice, across: bool) -> torch.Tensor:
        sides = p[some], p_labels[some], p_scores[some], z, z_labels, z_scores
        loss = contrastive_loss(*sides, 3, across_processes=across)
        return torch.stack([loss, lost_share(p_scores[some], p_labels[some], 3, across_processes=across)])

    for found in of_both(monkeypatch, lambda: both(slice(0, 3), True), lambda: both(slice(3, 8), True)):
        torch.testing.assert_close(found, both(slice(None), False))
    first, second = of_both(monkeypatch, lambda: both(slice(0, 3), False), lambda: both(slice(3, 8), False))
    torch.testing.assert_close(first, both(slice(0, 3), False))  # each for itself unless told otherwise
    torch.testing.assert_close(second, both(slice(3, 8), False))


def test_scores_may_be_of_another_type_than_vectors() -> None:
    vectors, labels = torch.eye(3), torch.tensor([0, 0, 1])
    means, present = class_means(vectors, labels, torch.tensor([0.25, 0.75, 0.5], dtype=torch.float64), 2)
    torch.testing.assert_close(means.float(), torch.tensor([[0.25, 0.75, 0], [0, 0, 1]]))
    assert present.tolist() == [True, True]


def test_rows_of_no_class_weigh_nothing_and_the_others_average_to_one() -> None:
    weights = normalised_weights(torch.tensor([0.2, 0.6, 0.5, 0.9]), torch.tensor([0, 0, 255, -1]), 2)
    torch.testing.assert_close(weights, torch.tensor([0.5, 1.5, 0.0, 0.0]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single_also_within_an_autocast_region(dtype: torch.dtype) -> None:
    g = torch.Generator().manual_seed(0)
    p, z = torch.randn(3000, 4, generator=g).to(dtype), torch.randn(300, 4, generator=g).to(dtype)
    labels, bank, scores = torch.zeros(3000).long(), torch.zeros(300).long(), torch.full((3000,), 0.9).to(dtype)
    exact = contrastive_loss(p.double(), labels, scores.double(), z.double(), bank, scores[:300].double(), 1)
    for autocast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = contrastive_loss(p, labels, scores, z, bank, scores[:300], 1)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=0)
        share = lost_share(scores, labels, 1)
        assert share.dtype == torch.float32 and abs(share.item()) < 1e-3
