"""Layouts of patches against loops, what their distance sees, and the contrast of those that are alike."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg.losses.layout import contrast_of_alike, layouts

CLASSES, HEIGHT, WIDTH = 5, 16, 24


def labels(seed: int = 0, unknown: bool = True) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    found = torch.randint(0, CLASSES, (2, HEIGHT, WIDTH), generator=g)
    if unknown:
        found[torch.rand(found.shape, generator=g) < 0.2] = 255
    return found


def distance_by_hand(one: np.ndarray, two: np.ndarray, levels: int) -> float:
    """Of two square patches."""
    total = 0.0
    for level in range(levels):
        parts, side = 2**level, len(one) // 2**level
        for y in range(parts):
            for x in range(parts):
                at = slice(y * side, (y + 1) * side), slice(x * side, (x + 1) * side)
                for c in range(CLASSES):
                    shares = [float((patch[at] == c).sum()) / side**2 for patch in (one, two)]
                    total += abs(shares[0] - shares[1]) / 2 / parts**2 / levels
    return total


def patches(found: Tensor, side: int = 8) -> list[np.ndarray]:
    return [
        image[y : y + side, x : x + side]
        for image in found.numpy()
        for y in range(0, HEIGHT, side)
        for x in range(0, WIDTH, side)
    ]


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_distances_are_those_of_loops(levels: int) -> None:
    found = labels()
    rows, known = layouts(found, CLASSES, (2, 3), levels)
    distances, cut = torch.cdist(rows, rows, p=1), patches(found)
    assert distances.shape == (12, 12)
    for i in range(12):
        assert known[i].item() == pytest.approx((cut[i] != 255).mean())
        for j in range(12):
            assert distances[i, j].item() == pytest.approx(distance_by_hand(cut[i], cut[j], levels), abs=1e-5)


def test_it_is_0_for_equal_patches_symmetric_and_1_for_nothing_in_common() -> None:
    rows, _ = layouts(labels(unknown=False), CLASSES, (2, 3), 3)
    distances = torch.cdist(rows, rows, p=1)
    assert not distances.diagonal().any() and torch.equal(distances, distances.T)
    assert 0 < distances[0, 1] < 1
    others = torch.stack([torch.zeros(8, 8), torch.full((8, 8), 3)]).long()
    rows, _ = layouts(others, CLASSES, (1, 1), 3)
    assert torch.cdist(rows, rows, p=1)[0, 1].item() == pytest.approx(1)


def test_it_sees_a_swap_of_left_and_right_that_one_histogram_misses() -> None:
    one = torch.cat([torch.zeros(8, 4), torch.full((8, 4), 2)], dim=1).long()
    both = torch.stack([one, one.flip(1)])
    for levels, expected in ((1, 0.0), (2, 0.5), (3, 2 / 3)):
        rows, _ = layouts(both, CLASSES, (1, 1), levels)
        assert torch.cdist(rows, rows, p=1)[0, 1].item() == pytest.approx(expected)


def test_crops_that_no_patch_divides_are_divided_all_the_same() -> None:
    found = torch.randint(0, CLASSES, (2, 13, 22))
    rows, known = layouts(found, CLASSES, (2, 3), 3)
    assert rows.shape == (12, CLASSES * 21) and torch.allclose(known, torch.ones(12))
    assert torch.allclose(rows.sum(1), torch.full((12,), 0.5)), "half of the L1 norm of a histogram"


def vectors(count: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, 7, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def contrast_by_hand(anchors: Tensor, keys: Tensor, alike: Tensor, compared: Tensor, t: float) -> float:
    losses = []
    for i, a in enumerate(anchors):
        powers = {j: math.exp((a @ k / (a.norm() * k.norm())).item() / t) for j, k in enumerate(keys) if compared[i, j]}
        near = [powers[j] for j in powers if alike[i, j]]
        if near:
            losses.append(-math.log(sum(near) / sum(powers.values())))
    return sum(losses) / len(losses)


def test_alike_patches_attract_and_all_compared_ones_repel() -> None:
    g = torch.Generator().manual_seed(2)
    alike, compared = torch.rand(6, 4, generator=g) < 0.4, torch.rand(6, 4, generator=g) < 0.7
    anchors, keys = vectors(6, 0).requires_grad_(), vectors(4, 1)
    found = contrast_of_alike(anchors, keys, alike, compared, 0.3)
    assert found.item() == pytest.approx(contrast_by_hand(anchors, keys, alike, compared, 0.3))
    found.backward()
    assert anchors.grad is not None
    assert torch.equal(anchors.grad.abs().sum(1) > 1e-12, (alike & compared).any(1) & (compared & ~alike).any(1))


@pytest.mark.parametrize("what", ["alike", "compared"])
def test_nothing_alike_and_nothing_compared_are_0_without_a_gradient(what: str) -> None:
    masks = {"alike": torch.ones(6, 4, dtype=torch.bool), "compared": torch.ones(6, 4, dtype=torch.bool)}
    masks[what] = ~masks[what]
    anchors = vectors(6, 0).requires_grad_()
    found = contrast_of_alike(anchors, vectors(4, 1), **masks, temperature=0.1)
    found.backward()
    assert found == 0 and anchors.grad is not None and not anchors.grad.any()


def test_half_precision_is_compared_in_single_precision() -> None:
    everything = torch.ones(6, 4, dtype=torch.bool)
    given = vectors(6, 0, torch.bfloat16), vectors(4, 1, torch.bfloat16)
    alike = torch.eye(6, 4, dtype=torch.bool)
    found = contrast_of_alike(*given, alike, everything, 0.1)
    assert found.dtype == torch.float32
    exact = contrast_of_alike(given[0].double(), given[1].double(), alike, everything, 0.1)
    assert found.item() == pytest.approx(exact.item(), rel=1e-4)
