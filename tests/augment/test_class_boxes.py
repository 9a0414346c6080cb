"""Connected parts against a search by hand, and boxes around them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from semiseg.augment.class_boxes import class_box_masks, connected_parts


def by_hand(mask: Tensor) -> list[frozenset[tuple[int, int]]]:
    """The parts of one mask (H, W), from neighbour to neighbour."""
    left = {tuple(at) for at in mask.nonzero().tolist()}
    parts = []
    while left:
        part, border = set(), [left.pop()]
        while border:
            y, x = border.pop()
            part.add((y, x))
            near = {(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)} & left
            left -= near
            border += near
        parts.append(frozenset(part))
    return parts


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 9999), share=st.sampled_from([0.1, 0.5, 0.62, 0.9]))
def test_parts_are_those_found_from_neighbour_to_neighbour(seed: int, share: float) -> None:
    mask = torch.rand(3, 7, 11, generator=torch.Generator().manual_seed(seed)) < share
    numbers = connected_parts(mask)
    assert torch.equal(numbers > 0, mask)
    for image, expected in zip(numbers, mask, strict=True):
        found = {frozenset(tuple(at) for at in (image == n).nonzero().tolist()) for n in image.unique() if n > 0}
        assert found == set(by_hand(expected))
    inside = numbers[mask]
    assert all(n - 1 in mask.flatten().nonzero() for n in inside.unique())


def test_a_spiral_is_one_part() -> None:
    spiral = ["xxxxxxx", "......x", "xxxxx.x", "x...x.x", "x.xxx.x", "x.....x", "xxxxxxx"]
    mask = torch.tensor([[[letter == "x" for letter in row] for row in spiral]])
    assert connected_parts(mask).unique().tolist() == [0, 49]


def scene() -> Tensor:
    """Of class 1 a large and a small part in image 0, one in image 1 touching its borders, none in image 2."""
    labels = torch.zeros(3, 12, 20, dtype=torch.int64)
    labels[0, 2:7, 3], labels[0, 6, 3:9] = 1, 1  # an L: 10 pixels in a box of 5 x 6
    labels[0, 10, 15] = 1
    labels[1, 0:3, 17:20] = 1
    return labels


def test_boxes_are_those_of_parts_of_the_class() -> None:
    one, other = torch.zeros(12, 20, dtype=torch.bool), torch.zeros(12, 20, dtype=torch.bool)
    one[2:7, 3:9], other[10, 15] = True, True
    corner = torch.zeros_like(one)
    corner[0:3, 17:20] = True
    seen = []
    for seed in range(60):
        masks = class_box_masks(scene(), torch.tensor([1, 1, 1]), torch.Generator().manual_seed(seed), least=0)
        assert torch.equal(masks[1], corner)
        assert masks[2].float().mean().item() == pytest.approx(0.5, abs=0.05), "no such class: half of the image"
        assert torch.equal(masks[0], one) or torch.equal(masks[0], other)
        seen.append(bool(masks[0, 10, 15]))
    assert 15 < sum(seen) < 45, "whatever their size"


def test_small_parts_do_not_count() -> None:
    for seed in range(10):
        masks = class_box_masks(scene(), torch.tensor([1, 1, 0]), torch.Generator().manual_seed(seed), 10 / 240)
        assert masks[0].sum() == 30, "the large one"
        assert masks[1].sum() > 100, "nine pixels are too few"
        assert masks[2].all()
