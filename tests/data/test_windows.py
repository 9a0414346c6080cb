"""Windows: one draw, two that overlap, and what two have in common."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semiseg.data.samplers import generator
from semiseg.data.windows import Window, check_overlap, common, draw_pair, draw_window, widen
from semiseg.errors import UsageError

sides = st.integers(1, 24)
sizes = st.tuples(sides, sides)
shares = st.floats(0, 1)


def shared(first: Window, second: Window) -> int:
    """Pixels in both, counted one by one."""
    cells = [
        {(y, x) for y in range(w.top, w.top + w.height) for x in range(w.left, w.left + w.width)}
        for w in (first, second)
    ]
    return len(cells[0] & cells[1])


def test_draws_of_a_window_are_those_of_earlier_versions() -> None:
    """Resumed runs must see the same crops: the first number is the top, the second the left."""
    drawn = [draw_window((64, 80), (40, 48), generator(3, "unlabelled", 1, position)) for position in range(4)]
    assert drawn == [(0, 19, 40, 48), (6, 22, 40, 48), (8, 18, 40, 48), (20, 22, 40, 48)]


@given(size=sizes, crop=sizes, seed=st.integers(0, 99))
def test_a_window_lies_within_the_image_or_starts_at_its_corner(
    size: tuple[int, int], crop: tuple[int, int], seed: int
) -> None:
    window = draw_window(size, crop, np.random.default_rng(seed))
    assert (window.height, window.width) == crop
    for start, length, whole in ((window.top, window.height, size[0]), (window.left, window.width, size[1])):
        assert start >= 0 and (start + length <= whole or start == 0)


@given(size=sizes, crop=sizes, overlap=shares, seed=st.integers(0, 99))
def test_pairs_overlap_enough_and_differ(
    size: tuple[int, int], crop: tuple[int, int], overlap: float, seed: int
) -> None:
    overlap *= 1 - 1 / min(crop)
    first, second = draw_pair(size, crop, overlap, np.random.default_rng(seed))
    assert first == draw_window(size, crop, np.random.default_rng(seed))
    assert shared(first, second) >= overlap * crop[0] * crop[1] - 1e-6
    assert (first == second) == (size[0] <= crop[0] and size[1] <= crop[1])
    for start, length, whole in ((second.top, crop[0], size[0]), (second.left, crop[1], size[1])):
        assert start >= 0 and (start + length <= whole or start == 0)


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.6])
def test_the_second_window_is_uniform_among_those_that_share_enough(overlap: float) -> None:
    size, crop = (7, 9), (4, 5)
    draws = np.random.default_rng(0)
    seen: dict[Window, Counter[Window]] = {}
    for _ in range(12000):
        first, second = draw_pair(size, crop, overlap, draws)
        seen.setdefault(first, Counter())[second] += 1
    every = [Window(top, left, *crop) for top in range(4) for left in range(5)]
    assert set(seen) == set(every)
    for first, counts in seen.items():
        enough = {other for other in every if other != first and shared(first, other) >= overlap * 20 - 1e-9}
        assert set(counts) == enough
        expected = counts.total() / len(enough)
        assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


@given(first=st.tuples(sides, sides), second=st.tuples(sides, sides), crop=sizes)
def test_common_slices_show_the_same_pixels(
    first: tuple[int, int], second: tuple[int, int], crop: tuple[int, int]
) -> None:
    """On an image whose every pixel has another value, smaller than where the windows may reach."""
    image = np.arange(1, 31 * 29 + 1).reshape(31, 29)
    windows = Window(*first, *crop), Window(*second, *crop)
    one, two = (window.cut(image, 0)[slices] for window, slices in zip(windows, common(*windows), strict=True))
    assert np.array_equal(one, two) and one.size == shared(*windows)


@given(
    top=st.integers(0, 5), left=st.integers(0, 5), crop=sizes, size=st.tuples(st.integers(6, 20), st.integers(6, 20))
)
def test_cut_pads_what_lies_beyond_the_image(top: int, left: int, crop: tuple[int, int], size: tuple[int, int]) -> None:
    window = Window(top, left, *crop)
    grey = np.arange(size[0] * size[1]).reshape(size)
    inside = window.inside(size)
    part = window.cut(grey, -1)
    assert part.shape == inside.shape == crop and inside.dtype == bool
    assert np.array_equal(part != -1, inside)
    colours = window.cut(np.stack([grey, 2 * grey, 3 * grey], axis=-1), -1)
    assert np.array_equal(colours[inside], part[inside][:, None] * [1, 2, 3]) and (colours[~inside] == -1).all()
    height, width = (min(length, whole - start) for length, whole, start in zip(crop, size, (top, left), strict=True))
    assert np.array_equal(part[:height, :width], grey[top : top + height, left : left + width])


@pytest.mark.parametrize("overlap", [-0.1, 0.9, 1.0, 2.0, float("nan"), float("inf")])
def test_an_overlap_that_only_the_same_window_has_is_refused(overlap: float) -> None:
    with pytest.raises(UsageError, match=r"8x12 pixels cannot differ and share .* between 0 and 0\.875"):
        draw_pair((40, 40), (8, 12), overlap, np.random.default_rng(0))


def test_the_largest_overlap_is_a_shift_by_one_pixel() -> None:
    check_overlap((3, 3), 1 - 1 / 3)  # 6.000000000000001 of 9 pixels are six
    first, second = draw_pair((3, 9), (3, 3), 1 - 1 / 3, np.random.default_rng(0))
    assert abs(first.left - second.left) == 1 and shared(first, second) == 6
    check_overlap((1, 9), 0)
    with pytest.raises(UsageError, match=r"between 0 and 0$"):
        check_overlap((1, 9), 0.5)


@given(size=sizes, crop=sizes, extra=st.tuples(st.integers(0, 12), st.integers(0, 12)), seed=st.integers(0, 99))
def test_the_wider_window_holds_the_crop_and_lies_within_the_image_as_far_as_that_goes(
    size: tuple[int, int], crop: tuple[int, int], extra: tuple[int, int], seed: int
) -> None:
    window = draw_window(size, crop, np.random.default_rng(seed))
    wide = widen(window, size, (crop[0] + extra[0], crop[1] + extra[1]))
    assert (wide.height, wide.width) == (crop[0] + extra[0], crop[1] + extra[1])
    for (start, inner), (begin, outer), whole in zip(
        ((window.top, window.height), (window.left, window.width)),
        ((wide.top, wide.height), (wide.left, wide.width)), size, strict=True,
    ):  # fmt: skip
        assert begin <= start and start + inner <= begin + outer
        assert begin == 0 if whole <= outer else 0 <= begin <= whole - outer


def test_wider_windows_are_as_uniform_as_crops() -> None:
    tops = Counter(widen(Window(top, 0, 4, 4), (16, 4), (6, 6)).top for top in range(13))
    assert sorted(tops) == list(range(11)) and max(tops.values()) == 2
