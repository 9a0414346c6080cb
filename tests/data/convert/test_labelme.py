"""labelme's files become the masks that were drawn."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from exports import HEIGHT, WIDTH, expect, labelme, photo, same, shape, square, stored
from PIL import Image

from semiseg.data.convert import convert
from semiseg.errors import SemisegError, UsageError


def test_labelme_polygons_rectangles_circles_and_stored_masks(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png")
    ring = np.ones((4, 5), np.uint8)
    ring[1:3, 2] = 0
    coded = io.BytesIO()
    Image.fromarray(ring * 255).save(coded, "PNG")
    labelme(tmp_path / "in" / "a.json", [
        shape("leaf", square(1, 2, 4)),
        shape("leaf", square(10, 2, 3)),
        shape("fruit", [[9, 18], [3, 12]], "rectangle"),
        shape("ring", [[20, 10], [24, 13]], "mask", base64.b64encode(coded.getvalue()).decode()),
        shape("stone", [[25, 5], [25, 8]], "circle"),
        shape("leaf", [[0, 0], [5, 5]], "line"),
    ])  # fmt: skip
    done = convert(tmp_path / "in", "labelme", tmp_path / "out")
    assert done.classes == ("background", "fruit", "leaf", "ring", "stone")
    assert done.notes == ("1 points and lines left out: they have no area",)
    wanted = expect((2, slice(2, 6), slice(1, 5)), (2, slice(2, 5), slice(10, 13)), (1, slice(12, 18), slice(3, 9)),
                    (3, slice(10, 14), slice(20, 25)), (0, slice(11, 13), slice(22, 23)))  # fmt: skip
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    wanted[(columns + 0.5 - 25) ** 2 + (rows + 0.5 - 5) ** 2 <= 9] = 4
    same(stored(tmp_path / "out", "a"), wanted)
    assert done.pixels == tuple(np.bincount(wanted.ravel()).tolist()) and done.shown_in == (1, 1, 1, 1, 1)


def test_labelme_holes_order_ignored_and_unlabelled_images(tmp_path: Path) -> None:
    for name in "abc":
        photo(tmp_path / "in" / f"{name}.png")
    labelme(tmp_path / "in" / "a.json", [
        shape("leaf", square(2, 2, 10)),
        shape("_background_", square(4, 4, 3)),
        shape("fruit", square(9, 9, 6)),
        shape("__ignore__", square(14, 14, 4)),
    ])  # fmt: skip
    labelme(tmp_path / "in" / "b.json", [])
    done = convert(tmp_path / "in", "labelme", tmp_path / "out")
    assert (done.images, done.masks, done.classes) == (3, 1, ("background", "fruit", "leaf"))
    wanted = expect((2, slice(2, 12), slice(2, 12)), (0, slice(4, 7), slice(4, 7)), (1, slice(9, 15), slice(9, 15)),
                    (255, slice(14, 18), slice(14, 18)))  # fmt: skip
    same(stored(tmp_path / "out", "a"), wanted)
    filled = convert(tmp_path / "in", "labelme", tmp_path / "filled", empty="background")
    assert filled.masks == 2 and not (tmp_path / "filled" / "masks" / "c.png").exists()
    same(stored(tmp_path / "filled", "b"), expect())


def test_labelme_ignored_background_class_order_and_smaller_on_top(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png")
    labelme(tmp_path / "in" / "a.json", [shape("fruit", square(4, 4, 3)), shape("leaf", square(2, 2, 10))])
    convert(tmp_path / "in", "labelme", tmp_path / "later", background="ignore", classes=["leaf", "fruit"])
    same(stored(tmp_path / "later", "a"), expect((0, slice(2, 12), slice(2, 12)), blank=255))
    convert(tmp_path / "in", "labelme", tmp_path / "smaller", overlap="smaller", background="soil")
    wanted = expect((2, slice(2, 12), slice(2, 12)), (1, slice(4, 7), slice(4, 7)))
    same(stored(tmp_path / "smaller", "a"), wanted)
    done = convert(
        tmp_path / "in", "labelme", tmp_path / "placed", classes=["leaf", "soil", "fruit"], background="soil"
    )
    assert done.classes == ("leaf", "soil", "fruit")
    same(stored(tmp_path / "placed", "a"), expect((0, slice(2, 12), slice(2, 12)), blank=1))


def test_labels_beyond_the_classes_are_refused_or_become_what_was_said(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png")
    labelme(tmp_path / "in" / "a.json", [shape("leaf", square(2, 2, 10)), shape("moss", square(4, 4, 3))])
    with pytest.raises(UsageError, match=r"1 labels are not among --classes: moss; add them, or --others ignore"):
        convert(tmp_path / "in", "labelme", tmp_path / "out", classes=["leaf"])
    assert not list(tmp_path.glob("*out*")), "nothing is left of a conversion that failed"
    for others, value in (("ignore", 255), ("background", 0)):
        convert(tmp_path / "in", "labelme", tmp_path / others, classes=["leaf"], others=others)
        wanted = expect((1, slice(2, 12), slice(2, 12)), (value, slice(4, 7), slice(4, 7)))
        same(stored(tmp_path / others, "a"), wanted)


def test_labelme_images_elsewhere_inside_the_file_and_of_one_stem(tmp_path: Path) -> None:
    photo(tmp_path / "photos" / "left" / "x.png", value=10)
    photo(tmp_path / "photos" / "right" / "x.png", value=20)
    photo(tmp_path / "photos" / "spare.png", value=30)
    inside = photo(tmp_path / "inside.png", value=40)
    labelme(tmp_path / "in" / "1.json", [shape("leaf", square(1, 1, 2))], "..\\left\\x.png")
    labelme(tmp_path / "in" / "2.json", [shape("leaf", square(5, 5, 2))], "right/x.png")
    data = base64.b64encode(inside.read_bytes()).decode()
    labelme(tmp_path / "in" / "3.json", [shape("leaf", square(9, 9, 2))], "gone.png", data)
    done = convert(tmp_path / "in", "labelme", tmp_path / "out", images=tmp_path / "photos")
    assert (done.images, done.masks) == (4, 3) and "right/x.png to right_x" in done.notes[0]
    for stem, value, start in (("x", 10, 1), ("right_x", 20, 5), ("gone", 40, 9)):
        with Image.open(tmp_path / "out" / "images" / f"{stem}.png") as image:
            assert image.getpixel((0, 0)) == (value, value, value)
        same(stored(tmp_path / "out", stem), expect((1, slice(start, start + 2), slice(start, start + 2))))
    assert (tmp_path / "out" / "images" / "spare.png").exists()


def test_missing_images_stop_the_conversion_or_are_left_out(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png")
    labelme(tmp_path / "in" / "a.json", [shape("leaf", square(1, 1, 2))])
    labelme(tmp_path / "in" / "b.json", [shape("leaf", square(1, 1, 2))])
    with pytest.raises(SemisegError, match=r"1 of 2 images are not below .*in, e\.g\. b\.png .*--images DIR"):
        convert(tmp_path / "in", "labelme", tmp_path / "out")
    done = convert(tmp_path / "in", "labelme", tmp_path / "out", skip_missing=True)
    assert (done.images, done.masks) == (1, 1) and "1 annotated images not found" in done.notes[0]


def test_the_copy_in_the_file_comes_before_an_image_of_its_name_elsewhere(tmp_path: Path) -> None:
    source = tmp_path / "in"
    photo(source / "a" / "img.png")
    red = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (200, 0, 0)).save(red, format="PNG")
    copy = base64.b64encode(red.getvalue()).decode()
    labelme(source / "b" / "img.json", [shape("cat", square(2, 2, 4))], "img.png", copy)
    convert(source, "labelme", tmp_path / "out")
    colours = {
        Image.open(path).convert("RGB").getpixel((0, 0)) for path in (tmp_path / "out" / "images").rglob("*.png")
    }
    assert (200, 0, 0) in colours and len(colours) == 2


def test_a_sheet_that_is_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png")
    labelme(tmp_path / "other" / "a.json", [shape("cat", square(2, 2, 4))], "a.png")
    (tmp_path / "in" / "a.json").symlink_to(tmp_path / "other" / "a.json")
    with pytest.raises(SemisegError, match=r"a.json"):
        convert(tmp_path / "in", "labelme", tmp_path / "out")
