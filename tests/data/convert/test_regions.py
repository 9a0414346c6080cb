"""Outlines cover the pixels whose centres they hold."""

import numpy as np
import pytest

from semiseg.data.convert import regions
from semiseg.data.convert.regions import ellipse, polygon, rectangle


def test_neighbours_share_no_pixel_and_turned_shapes_have_their_area() -> None:
    for edge in np.arange(0, 40, 0.25):
        count = np.zeros((40, 40), int)
        for points in ([[0, 0], [edge, 0], [edge, 40], [0, 40]],
                       [[edge, 0], [40, 0], [40, 40], [edge, 40]]):  # fmt: skip
            patch = polygon(points, (40, 40))
            patch.window(count)[patch.mask] += 1
        assert (count == 1).all(), edge
    turned = polygon(rectangle(30, 10, 40, 20, 30), (100, 100)).mask
    assert turned.sum() == pytest.approx(800, rel=0.02)
    round_ = polygon(ellipse(50, 50, 40, 20, 45), (100, 100)).mask
    assert round_.sum() == pytest.approx(np.pi * 800, rel=0.02)
    assert not polygon([(-9, -9), (-1, -9), (-1, -1)], (20, 20)).mask.size


def test_large_outlines_are_filled_in_strips_and_far_corners_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    corners = [(3, 2), (37, 11), (25, 38), (6, 30)]
    whole = polygon(corners, (40, 40))
    monkeypatch.setattr(regions, "_CANVAS", 3 * 34 * 16)
    np.testing.assert_array_equal(polygon(corners, (40, 40)).mask, whole.mask)
    assert polygon([(-1e12, -1e12), (1e12, -1e12), (1e12, 1e12), (-1e12, 1e12)], (4, 5)).mask.all()
