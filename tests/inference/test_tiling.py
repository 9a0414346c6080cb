from itertools import pairwise

import numpy as np
import pytest
import torch

from semiseg.inference.tiling import blended, spans


@pytest.mark.parametrize("size", [1, 7, 64, 100, 1000])
@pytest.mark.parametrize(("tile", "overlap"), [(64, 0.25), (64, 0.0), (7, 0.9), (1, 0.5), (2000, 0.25)])
def test_spans_cover_overlap_and_sum_to_one(size: int, tile: int, overlap: float) -> None:
    found = spans(size, tile, overlap)
    total = np.zeros(size)
    for span in found:
        assert 0 <= span.start < span.stop <= size and span.stop - span.start == min(tile, size) == len(span.weights)
        assert (span.weights > 0).all()
        total[span.start : span.stop] += span.weights
    assert total == pytest.approx(np.ones(size), abs=1e-6)
    assert found[0].start == 0 and found[-1].stop == size
    for one, other in pairwise(found):
        assert one.start < other.start and one.stop - other.start >= int(min(tile, size) * overlap)


def test_a_tile_fades_where_its_neighbour_takes_over() -> None:
    one, other = spans(12, 8, 0.5)
    assert one.weights[:4].tolist() == [1] * 4 and (np.diff(one.weights[3:]) < 0).all() and one.weights[-1] < 0.1
    assert one.weights[::-1] == pytest.approx(other.weights)


def test_one_tile_is_left_as_it_is() -> None:
    values = torch.rand(3, 5, 9)
    ((rows, columns, found),) = blended(lambda r, c: values[:, r, c].clone(), (5, 9), (8, 16), 0.25)
    assert (rows, columns) == (slice(0, 5), slice(0, 9)) and torch.equal(found, values)


@pytest.mark.parametrize("size", [(40, 40), (17, 61), (90, 13), (5, 5)])
@pytest.mark.parametrize(("tile", "overlap"), [((16, 16), 0.25), ((16, 8), 0.8), ((7, 11), 0.0), ((16, 16), 0.5)])
def test_blocks_are_the_weighted_mean_of_the_tiles(
    size: tuple[int, int], tile: tuple[int, int], overlap: float
) -> None:
    """Against the plain way: one sum and one sum of weights as large as the image."""
    generator = torch.Generator().manual_seed(0)
    tiles: dict[tuple[int, int], torch.Tensor] = {}

    def predict(rows: slice, columns: slice) -> torch.Tensor:
        key = (rows.start, columns.start)
        assert key not in tiles, "a tile is predicted once"
        tiles[key] = torch.rand(2, rows.stop - rows.start, columns.stop - columns.start, generator=generator)
        return tiles[key].clone()

    found, times = torch.zeros(2, *size), torch.zeros(size)
    for rows, columns, values in blended(predict, size, tile, overlap):
        found[:, rows, columns] = values
        times[rows, columns] += 1
    assert (times == 1).all()
    total, weight = torch.zeros(2, *size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    for (top, left), values in tiles.items():
        height, width = values.shape[1:]
        down, across = (torch.sin(torch.pi * (torch.arange(n) + 0.5) / n) ** 2 for n in (height, width))
        window = torch.outer(down, across).double()
        total[:, top : top + height, left : left + width] += values * window
        weight[top : top + height, left : left + width] += window
    torch.testing.assert_close(found.double(), total / weight, atol=1e-5, rtol=1e-4)
