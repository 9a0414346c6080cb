"""No two classes look alike, and those that do not keep the data set's colours."""

from itertools import combinations

import pytest

from semiseg.data.base import default_colours
from semiseg.data.datasets.camvid import INFO as CAMVID
from semiseg.data.datasets.street_classes import COLOURS as CITYSCAPES
from semiseg.data.swatches import ALIKE, distance, told_apart


def test_the_distance_is_that_of_an_independent_sum() -> None:
    assert distance((10, 20, 30), (10, 20, 30)) == 0
    red = (200 + 100) / 2
    expected = ((2 + red / 256) * 100**2 + 4 * 20**2 + (2 + (255 - red) / 256) * 30**2) ** 0.5
    assert distance((200, 50, 60), (100, 30, 90)) == pytest.approx(expected)
    assert distance((100, 30, 90), (200, 50, 60)) == pytest.approx(expected)


@pytest.mark.parametrize("colours", [CITYSCAPES, CAMVID.colours, default_colours(21)])
def test_published_colours_stay(colours: tuple[tuple[int, int, int], ...]) -> None:
    assert told_apart(colours) == tuple(colours)


def test_the_later_of_two_that_look_alike_gets_another_colour() -> None:
    given = [(255, 0, 0), (250, 4, 0), (0, 0, 255), (255, 0, 0), (2, 2, 2)]
    found = told_apart(given, {(0, 0, 0)})
    assert found[0] == given[0] and found[2] == given[2]
    assert all(found[k] != given[k] for k in (1, 3, 4))
    assert min(distance(a, b) for a, b in combinations([*found, (0, 0, 0)], 2)) > 200


@pytest.mark.parametrize("count", [30, 150, 256])
def test_many_classes_have_as_many_colours(count: int) -> None:
    assert len(set(told_apart([(9, 9, 9)] * count))) == count
    if count < 64:
        assert min(distance(a, b) for a, b in combinations(told_apart([(9, 9, 9)] * count), 2)) >= ALIKE
