"""Regions of a mask as polygons: exclusive, with holes, and the same mask when read back."""

import numpy as np
import pytest
from pycocotools import mask as coco

from semiseg.data.convert.regions import polygon
from semiseg.prediction.tools.outlines import regions


def random_masks() -> list[np.ndarray]:
    """Noise of up to four classes in many sizes: single pixels, checkerboards, holes in holes."""
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, rng.integers(1, 5), rng.integers(1, 14, 2)).astype(np.uint8) for _ in range(60)
    ]  # fmt: skip


def nested() -> np.ndarray:
    """A frame of class 1 in a frame of class 2 around another frame, and so on, with an island beside."""
    mask = np.zeros((15, 17), np.uint8)
    for k in range(7):
        mask[k : 15 - k, k : 17 - k] = k % 3
    mask[3, 3] = mask[4, 12] = 1
    return mask


def test_a_square_with_a_hole() -> None:
    mask = np.zeros((5, 6), np.uint8)
    mask[1:4, 1:5] = 7
    mask[2, 3] = 9
    (found,) = regions(mask, [7])
    assert (found.number, found.pixels) == (7, 11)
    assert found.outer.tolist() == [[5, 1], [5, 4], [1, 4], [1, 1]]
    (hole,) = found.holes
    assert sorted(hole.tolist()) == [[3, 2], [3, 3], [4, 2], [4, 3]]
    # From the middle of the outer left side at row 2 to the hole, round it, and back.
    assert [1, 2.5] in found.joined.tolist() and found.joined.tolist().count([3, 2.5]) == 2


def test_pixels_that_touch_at_a_corner_are_two_regions() -> None:
    found = regions(np.array([[1, 0], [0, 1]], np.uint8), [0, 1])
    assert sorted((r.number, r.pixels) for r in found) == [(0, 1), (0, 1), (1, 1), (1, 1)]


def test_classes_that_are_not_asked_for_and_ignored_pixels_have_no_region() -> None:
    assert [r.number for r in regions(np.array([[1, 255, 2]], np.uint8), [0, 2])] == [2]
    assert regions(np.full((3, 3), 255, np.uint8), [0, 1]) == []


@pytest.mark.parametrize("mask", [*random_masks(), nested()], ids=lambda mask: "x".join(map(str, mask.shape)))
def test_every_pixel_comes_back_once(mask: np.ndarray) -> None:
    times, mine, theirs = np.zeros(mask.shape, int), np.full(mask.shape, 255), np.full(mask.shape, 255)
    for region in regions(mask, range(4)):
        patch = polygon(region.joined, mask.shape)
        assert patch.mask.sum() == region.pixels
        patch.window(mine)[patch.mask] = region.number
        decoded = coco.decode(coco.frPyObjects([region.joined.ravel().tolist()], *mask.shape))[..., 0].astype(bool)
        theirs[decoded] = region.number
        times += decoded
    assert np.array_equal(mine, mask) and np.array_equal(theirs, mask) and (times == 1).all()


@pytest.mark.parametrize("mask", [nested(), *random_masks()[:20]], ids=lambda mask: "x".join(map(str, mask.shape)))
def test_outer_less_holes_is_the_region(mask: np.ndarray) -> None:
    for region in regions(mask, range(4)):
        drawn = np.zeros(mask.shape, int)
        for ring, sign in ((region.outer, 1), *((hole, -1) for hole in region.holes)):
            patch = polygon(ring, mask.shape)
            patch.window(drawn)[patch.mask] += sign
        assert set(np.unique(drawn)) <= {0, 1} and drawn.sum() == region.pixels
        assert (mask[drawn == 1] == region.number).all()
