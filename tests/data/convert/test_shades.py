"""Grey values and colours become the classes that names are given for."""

from pathlib import Path

import numpy as np
import pytest
from exports import expect, photo, same, stored
from PIL import Image

from semiseg.data.convert import convert, shades
from semiseg.data.convert.nearest import meant_colours, nearest
from semiseg.data.datasets.description import Description
from semiseg.data.files import read_mask
from semiseg.errors import SemisegError, UsageError

A, B = (slice(2, 6), slice(3, 9)), (slice(10, 15), slice(3, 9))


def grey(root: Path, low: int = 128, high: int = 255) -> Path:
    photo(root / "images" / "a.png")
    (root / "masks").mkdir()
    Image.fromarray(expect((low, *A), (high, *B))).save(root / "masks" / "a.png")
    return root


@pytest.mark.parametrize(
    ("given", "classes", "mask"),
    [
        (["ground", "cytoplasm", "nucleus"], ("ground", "cytoplasm", "nucleus"), expect((1, *A), (2, *B))),
        (["nucleus: 255", "ground=0", "cytoplasm = 128"], ("nucleus", "ground", "cytoplasm"),
         expect((2, *A), (0, *B), blank=1)),
        (None, ("background", "#808080", "#ffffff"), expect((1, *A), (2, *B))),
    ],
)  # fmt: skip
def test_names_of_grey_values(
    tmp_path: Path, given: list[str] | None, classes: tuple[str, ...], mask: np.ndarray
) -> None:
    done = convert(grey(tmp_path / "in"), "colour", tmp_path / "out", classes=given)
    assert done.classes == classes
    same(stored(tmp_path / "out", "a"), mask)


def test_a_table_names_grey_values_too(tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text("background: 0\ncytoplasm: 128\nnucleus: 255\n")
    done = convert(grey(tmp_path / "in"), "colour", tmp_path / "out", colours=tmp_path / "names.yaml")
    assert done.classes == ("background", "cytoplasm", "nucleus")
    same(stored(tmp_path / "out", "a"), expect((1, *A), (2, *B)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a", "b"], r"2 names, and the masks 3 values \(0, 128, 255\)"),
        (["a=0", "b=128", "c"], "every class its own NAME=VALUE, or none"),
        (["a=0", "b=128", "c=128"], "every class its own NAME=VALUE, or none"),
        (["a=0", "b=64", "c=255"], "no class of the value 128"),
    ],
)
def test_names_that_do_not_fit_the_values(tmp_path: Path, given: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        convert(grey(tmp_path / "in"), "colour", tmp_path / "out", classes=given)


def test_colours_have_no_order(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "images" / "a.png")
    (tmp_path / "in" / "masks").mkdir()
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)[expect((1, *A), (2, *B))]
    Image.fromarray(colours).save(tmp_path / "in" / "masks" / "a.png")
    with pytest.raises(UsageError, match=r"have no order; give --classes a=#000000,… or --colours FILE"):
        convert(tmp_path / "in", "colour", tmp_path / "out", classes=["a", "b", "c"])
    done = convert(tmp_path / "in", "colour", tmp_path / "out", classes=["a=#000000", "b=#ff0000", "c=#0000ff"])
    assert done.classes == ("a", "b", "c")
    same(stored(tmp_path / "out", "a"), expect((1, *A), (2, *B)))


def test_class_numbers_stay_and_255_is_ignored(tmp_path: Path) -> None:
    root = grey(tmp_path / "in", 1, 2)
    mask = expect((1, *A), (2, *B), (255, slice(0, 1), slice(0, 5)))
    Image.fromarray(mask).save(root / "masks" / "a.png")
    assert convert(root, "colour", tmp_path / "out").classes == ("class_0", "class_1", "class_2")
    same(stored(tmp_path / "out", "a"), mask)
    (root / "dataset.yaml").write_text("classes: [ground, leaf, fruit]\n")
    assert convert(root, "colour", tmp_path / "named").classes == ("ground", "leaf", "fruit")
    same(stored(tmp_path / "named", "a"), mask)


BLACK, RED, BLUE = (0, 0, 0), (255, 0, 0), (0, 0, 255)


def smeared() -> np.ndarray:
    """Red and blue fields that meet in a smeared border, and a thin line on red of which no pixel is wholly blue."""
    picture = np.zeros((20, 30, 3), np.uint8)
    picture[:, :15], picture[:, 15:] = RED, BLUE
    picture[:, 14], picture[:, 15] = (170, 0, 85), (85, 0, 170)
    picture[3, 2:10] = (100, 0, 155)
    return picture


def test_smeared_pixels_are_ignored_between_two_colours_only() -> None:
    found = nearest(smeared(), [RED, BLUE])
    assert (found[:, :12][[0, 10]] == 0).all() and (found[:, 18:] == 1).all()
    assert (found[10, 14:16] == 255).all() and (found[3, 2:10] == 1).all()


def test_colours_are_those_of_flat_areas() -> None:
    assert meant_colours([smeared()], 8) == [BLUE, RED]
    near_black = np.full((20, 20, 3), 1, np.uint8)
    assert meant_colours([near_black, smeared()], 8) == [BLACK, BLUE, RED]
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    assert meant_colours([noise], 8) is None
    shades = np.tile(np.linspace(0, 255, 400).astype(np.uint8), (20, 1))[..., None].repeat(3, 2)
    assert meant_colours([shades], 32) is None, "a photograph is no mask"


def test_numbers_below_0_are_no_class(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-1, 0], [1, 1]], np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(SemisegError, match=r"hold the value -1.*save pixels that do not count as 255"):
        shades.grey_shades([tmp_path / "a.tif"], Description(), None)


def test_transparent_pixels_are_black_as_in_a_mask_that_is_read_itself(tmp_path: Path) -> None:
    values = np.full((4, 4, 4), 200, np.uint8)
    values[:, 2:, 3] = 0
    Image.fromarray(values, "RGBA").save(tmp_path / "a.png")
    found = shades.read_coloured(tmp_path / "a.png")
    assert (
        np.array_equal(found, read_mask(tmp_path / "a.png"))
        and (found[:, 2:] == 0).all()
        and (found[:, :2] == 200).all()
    )
