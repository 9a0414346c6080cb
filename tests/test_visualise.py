from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semiseg.errors import UsageError
from semiseg.visualise import as_rgb, colourise, comparison_picture, overlay, palette

COLOURS = ((255, 0, 0), (0, 200, 0), (0, 0, 101))


def test_palette_is_black_beyond_the_classes() -> None:
    table = palette(COLOURS)
    assert table.shape == (256, 3) and table.dtype == np.uint8
    assert table[:3].tolist() == [list(c) for c in COLOURS] and not table[3:].any()
    with pytest.raises(UsageError, match="at most 256"):
        palette(((0, 0, 0),) * 257)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_colourise_by_hand(dtype: type) -> None:
    picture = colourise(np.array([[0, 1], [2, 255]], dtype=dtype), COLOURS)
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[[255, 0, 0], [0, 200, 0]], [[0, 0, 101], [0, 0, 0]]]


@pytest.mark.parametrize("mask", [np.array([[300]]), np.array([[-1]]), np.zeros((1, 1)), np.zeros(3, np.uint8)])
def test_colourise_refuses_what_is_no_mask(mask: np.ndarray) -> None:
    with pytest.raises(UsageError):
        colourise(mask, COLOURS)


def test_overlay_by_hand() -> None:
    image = np.full((1, 4, 3), 100, dtype=np.uint8)
    mask = np.array([[0, 1, 2, 255]], dtype=np.uint8)
    # Half and half, rounded to even: 177.5 -> 178, 100.5 -> 100. Ignored pixels stay as they are.
    expected = [[[178, 50, 50], [50, 150, 50], [50, 50, 100], [100, 100, 100]]]
    assert overlay(image, mask, COLOURS).tolist() == expected
    assert np.array_equal(overlay(image, mask, COLOURS, alpha=0), image)
    assert np.array_equal(overlay(image, mask, COLOURS, alpha=1)[:, :3], colourise(mask, COLOURS)[:, :3])


def test_overlay_errors() -> None:
    image, mask = np.zeros((2, 3, 3), np.uint8), np.zeros((3, 2), np.uint8)
    with pytest.raises(UsageError, match="uint8"):
        overlay(image, mask, COLOURS)
    with pytest.raises(UsageError, match="alpha"):
        overlay(image, mask.T, COLOURS, alpha=1.5)


def test_comparison_picture_shows_every_cell_title_and_class(tmp_path: Path) -> None:
    greens = [np.full((10, 20, 3), (0, 40 * n, 0), dtype=np.uint8) for n in range(1, 5)]
    grey = np.full((40, 20), 77, dtype=np.uint8)
    legend = [("road", (9, 8, 7)), ("a class with a rather long name" * 3, (6, 5, 4)), ("sky", (3, 2, 1))]
    path = comparison_picture(
        [greens, [grey, *greens[1:]]], ["input", "truth", "supervised", "semi-supervised"], legend,
        tmp_path / "new" / "sheet.png", cell_width=100,
    )  # fmt: skip
    sheet = np.array(Image.open(path))
    found, counts = np.unique(sheet.reshape(-1, 3), axis=0, return_counts=True)
    pixels = {tuple(map(int, colour)): int(count) for colour, count in zip(found, counts, strict=True)}
    assert pixels[(0, 40, 0)] == 100 * 50  # 20x10 scaled to 100x50
    assert pixels[(0, 80, 0)] == pixels[(0, 160, 0)] == 2 * 100 * 50
    assert (sheet[90:290, 8:108] == 77).all()  # below the titles, the first row and its gap
    for _, colour in legend:
        assert pixels[colour] == 15 * 15  # a swatch inside its border
    assert sheet.shape[1] == 8 + 4 * 108
    ink = (sheet[:30] < 100).all(axis=2)  # above the cells: the titles, one in each column
    assert all(ink[:, 8 + 108 * n : 108 * (n + 1)].any() for n in range(4))
    assert not ink[:, :8].any() and not any(ink[:, 108 * n : 108 * n + 8].any() for n in range(1, 5))


def test_comparison_picture_of_odd_sizes_without_legend(tmp_path: Path) -> None:
    title = "a title too long for its cell"
    path = comparison_picture([[np.zeros((33, 7, 3), np.uint8)]], [title], [], tmp_path / "one.png", 21)
    assert Image.open(path).size == (21 + 16, 24 + 8 + 99 + 8)


def test_comparison_picture_errors(tmp_path: Path) -> None:
    cell = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(UsageError, match="2 pictures"):
        comparison_picture([[cell]], ["a", "b"], [], tmp_path / "x.png")
    with pytest.raises(UsageError):
        comparison_picture([], ["a"], [], tmp_path / "x.png")
    with pytest.raises(UsageError, match="float64"):
        comparison_picture([[cell / 255]], ["a"], [], tmp_path / "x.png")


def test_an_image_of_other_channels_is_shown_in_three() -> None:
    image = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
    assert np.array_equal(as_rgb(image, (4, 3, 2)), image[..., [3, 2, 1]])
    assert np.array_equal(as_rgb(image), image[..., :3]) and np.array_equal(
        as_rgb(image[..., :2]), image[..., [0, 0, 0]]
    )
    three = image[..., :3]
    assert as_rgb(three) is three
