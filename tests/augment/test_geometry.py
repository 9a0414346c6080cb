"""The geometric part of Table 1 by itself: which pixel goes where, and that nothing else moves."""

import pytest
import torch
from torch import Tensor

from semiseg.augment.geometry import mirror, rescale, source_coordinates


@pytest.fixture
def batch() -> list[Tensor]:
    """Images, labels and confidence, all different from pixel to pixel."""
    generator = torch.Generator().manual_seed(0)
    return [
        torch.rand(4, 3, 6, 8, generator=generator),
        torch.arange(4 * 48).view(4, 6, 8),
        torch.rand(4, 6, 8, generator=generator),
    ]


def test_source_coordinates() -> None:
    """By hand, 4 pixels: at twice the size the window [2, 6) of 8; at half, 2 pixels in the middle."""

    def alone(*scale_and_offset: list[float]) -> list[list[float]]:
        scale, offset = map(torch.tensor, scale_and_offset)
        first = torch.zeros(len(scale), dtype=torch.int64)
        found: list[list[float]] = source_coordinates(4, scale, offset, first, first + 4).tolist()
        return found

    assert alone([2.0], [0.5]) == [[1.25, 1.75, 2.25, 2.75]]
    assert alone([0.5], [0.5]) == [[-1.0, 1.0, 3.0, 5.0]]  # outside, two pixels, outside
    ends = alone([2.0, 2.0, 0.5], [0.0, 1.0, 0.0])
    assert ends == [[0.25, 0.75, 1.25, 1.75], [2.25, 2.75, 3.25, 3.75], [1.0, 3.0, 5.0, 7.0]]


def test_mirror_flips_the_chosen_images_only(batch: list[Tensor]) -> None:
    for before, after in zip(batch, mirror(batch, torch.tensor([1, 3])), strict=True):
        assert torch.equal(after[[0, 2]], before[[0, 2]]) and torch.equal(after[[1, 3]], before[[1, 3]].flip(-1))
    assert all(a is b for a, b in zip(mirror(batch, torch.tensor([], dtype=torch.int64)), batch, strict=True))


@pytest.mark.parametrize("flip", [False, True])
def test_rescale_by_one_is_the_image_or_its_mirror(batch: list[Tensor], flip: bool) -> None:
    chosen, ones = torch.tensor([2]), torch.ones(1)
    for before, after in zip(
        batch, rescale(batch, chosen, ones, 0.3 * ones, 0.8 * ones, torch.tensor([flip]), (0.5, 255, 0)), strict=True
    ):
        assert torch.equal(after[[0, 1, 3]], before[[0, 1, 3]])
        torch.testing.assert_close(after[2], before[2].flip(-1) if flip else before[2])


def test_each_tensor_has_its_value_outside_a_reduced_image(batch: list[Tensor]) -> None:
    half, corner = torch.tensor([0.5]), torch.zeros(1)
    images, labels, confidence = rescale(
        batch, torch.tensor([0]), half, corner, corner, torch.tensor([False]), (0.25, 255, 0)
    )
    beyond = torch.ones(6, 8, dtype=torch.bool)
    beyond[:3, :4] = False
    assert (images[0][:, beyond] == 0.25).all() and (confidence[0][beyond] == 0).all()
    assert torch.equal(labels[0] == 255, beyond)
    assert torch.equal(labels[0, :3, :4], batch[1][0, 1::2, 1::2])
