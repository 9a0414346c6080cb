import numpy as np
import pytest

from semiseg.derived.widths import finest_class, runs


def test_runs_end_with_their_line() -> None:
    values, lengths = runs(np.array([[1, 1, 0], [0, 0, 0], [2, 1, 2]]))
    assert list(zip(values.tolist(), lengths.tolist(), strict=True)) == [
        (1, 2), (0, 1), (0, 3), (2, 1), (1, 1), (2, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("turned", [False, True])
def test_a_stripe_is_as_wide_as_it_is_across(turned: bool) -> None:
    mask = np.zeros((50, 200), np.uint8)
    mask[20:25] = 1
    found = finest_class([mask.T if turned else mask], 3)
    assert found == (1, pytest.approx(5 / 50))


def test_discs_are_wide_and_a_few_specks_do_not_matter() -> None:
    y, x = np.mgrid[:256, :256]
    mask = (np.hypot(y - 120, x - 120) < 40).astype(np.uint8)
    mask[::50, ::50] = 1
    found = finest_class([mask], 2)
    assert found is not None and found[0] == 1 and 60 / 256 < found[1] < 80 / 256


def test_ignored_pixels_and_classes_that_no_mask_shows() -> None:
    mask = np.full((20, 30), 255, np.uint8)
    assert finest_class([mask], 2) is None and finest_class([], 2) is None
    mask[:, 10:14] = 1
    assert finest_class([mask], 2) == (1, pytest.approx(4 / 20))


def test_masks_of_several_sizes_count_in_their_own_small_side() -> None:
    small, large = np.zeros((40, 40), np.uint8), np.zeros((400, 400), np.uint8)
    small[:, 4:8], large[:, 40:80] = 1, 1
    found = finest_class([small, large], 2)
    assert found == (1, pytest.approx(0.1))
