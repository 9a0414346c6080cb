"""Images that an EXIF tag turns, and masks drawn on them upright or as stored: 7 orientations, 2 shapes, 2 ways."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from semiseg.data.check.dataset import check_data
from semiseg.data.convert import convert
from semiseg.data.datasets.folder import open_folder
from semiseg.data.files import read_mask, read_rgb
from semiseg.data.turning import turn
from semiseg.errors import SemisegError

SHAPES = ((6, 6), (4, 6))
AMBIGUOUS = {(way, shape) for way in range(2, 9) for shape in SHAPES if way < 5 or shape[0] == shape[1]}


def exif(way: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = way
    return tags


def turned(root: Path, way: int, shape: tuple[int, int], upright: bool, suffix: str = ".png") -> np.ndarray:
    """A folder of two images that are turned, and their masks; returns the mask that is right for the upright one."""
    stored = (np.arange(shape[0] * shape[1]).reshape(shape) % 3).astype(np.uint8)
    stored[0, 0] = 2
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for name in "ab":
        Image.fromarray(np.stack([80 * stored] * 3, axis=2)).save(root / "images" / f"{name}{suffix}", exif=exif(way))
    (root / "dataset.yaml").write_text("classes: [x, y, z]\n")
    with Image.open(root / "images" / f"a{suffix}") as image:
        right = np.array(ImageOps.exif_transpose(image))[..., 0] // 80
    for name in "ab":
        Image.fromarray(right if upright else stored).save(root / "masks" / f"{name}.png")
    return right


@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", range(2, 9))
def test_a_mask_lies_on_its_image_or_is_refused(
    tmp_path: Path, way: int, shape: tuple[int, int], upright: bool
) -> None:
    right = turned(tmp_path, way, shape, upright)
    if (way, shape) in AMBIGUOUS:
        train, val = open_folder(tmp_path, "train"), open_folder(tmp_path, "val")
        with pytest.raises(SemisegError, match=r"add the line orientation: upright, or orientation: stored, to datase"):
            train.label(0)
        errors = [f for f in check_data(train, val, train.names, shape, quick=True).findings if f.level == "error"]
        assert len(errors) == 2 and all("EXIF" in error.message for error in errors)
        said = "upright" if upright else "stored"
        (tmp_path / "dataset.yaml").write_text(f"classes: [x, y, z]\norientation: {said}\n")
    label, image = (getattr(open_folder(tmp_path, "train"), what)(0) for what in ("label", "image"))
    np.testing.assert_array_equal(label, right)
    np.testing.assert_array_equal(80 * label, image[..., 0])


def test_a_mask_with_a_tag_of_its_own_says_itself_how_it_lies(tmp_path: Path) -> None:
    right = turned(tmp_path, 3, (4, 6), upright=False)
    for name in "ab":
        with Image.open(tmp_path / "masks" / f"{name}.png") as mask:
            mask.save(tmp_path / "masks" / f"{name}.png", exif=exif(3))
    np.testing.assert_array_equal(open_folder(tmp_path, "train").label(0), right)


def test_a_word_other_than_upright_or_stored(tmp_path: Path) -> None:
    turned(tmp_path, 3, (4, 6), upright=True)
    (tmp_path / "dataset.yaml").write_text("classes: [x, y, z]\norientation: left\n")
    with pytest.raises(SemisegError, match=r"dataset\.yaml: orientation: left; give upright or stored"):
        open_folder(tmp_path, "train")


@pytest.mark.parametrize("suffix", [".tif", ".png"])
@pytest.mark.parametrize("way", range(1, 9))
def test_turning_is_that_of_the_tag_also_for_uncompressed_grey_tiff(tmp_path: Path, way: int, suffix: str) -> None:
    stored = np.arange(12, dtype=np.uint8).reshape(3, 4)
    path = tmp_path / f"a{suffix}"
    Image.fromarray(stored).save(path, exif=exif(way))
    expected = {1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1], 5: stored.T,
                6: stored[::-1].T, 7: stored[::-1, ::-1].T, 8: stored.T[::-1]}[way]  # fmt: skip
    for found in (turn(stored, way), read_mask(path), read_rgb(path)[..., 0]):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("said", [None, "upright", "stored"])
def test_converted_colour_masks_lie_on_turned_images_too(tmp_path: Path, said: str | None) -> None:
    right = turned(tmp_path / "in", 3, (4, 6), upright=said == "upright")
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    for path in (tmp_path / "in" / "masks").iterdir():
        with Image.open(path) as mask:
            Image.fromarray(colours[np.array(mask)]).save(path)
    text = "classes: [x, y, z]\ncolours: [[255, 0, 0], [0, 255, 0], [0, 0, 255]]\n"
    (tmp_path / "in" / "dataset.yaml").write_text(text + (f"orientation: {said}\n" if said else ""))
    if said is None:
        with pytest.raises(SemisegError, match="add the line orientation: upright"):
            convert(tmp_path / "in", "colour", tmp_path / "out")
        return
    convert(tmp_path / "in", "colour", tmp_path / "out")
    np.testing.assert_array_equal(open_folder(tmp_path / "out", "train").label(0), right)
