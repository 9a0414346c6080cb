"""Coloured masks become class numbers."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from exports import HEIGHT, WIDTH, expect, photo, same, stored
from PIL import Image

from semiseg.data.convert import convert
from semiseg.data.datasets.folder import open_folder
from semiseg.errors import SemisegError


def coloured(path: Path, mode: str = "RGB") -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[2:6, 3:9], picture[10:15, 3:9] = (255, 0, 0), (0, 128, 64)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(picture)
    (image.convert("P", palette=Image.Palette.ADAPTIVE) if mode == "P" else image).save(path)


RED, GREEN = (slice(2, 6), slice(3, 9)), (slice(10, 15), slice(3, 9))


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_colour_masks_by_the_colours_that_occur(tmp_path: Path, mode: str) -> None:
    for split in ("train", "val"):
        photo(tmp_path / "in" / "images" / split / "a.png")
        coloured(tmp_path / "in" / "masks" / split / "a.png", mode)
    photo(tmp_path / "in" / "images" / "train" / "b.png")
    done = convert(tmp_path / "in", "colour", tmp_path / "out")
    assert done.classes == ("background", "#008040", "#ff0000") and (done.images, done.masks) == (3, 2)
    assert done.notes == ("colours found: #000000, #008040, #ff0000; name them with --colours FILE",)
    for split in ("train", "val"):
        same(stored(tmp_path / "out", f"{split}/a"), expect((2, *RED), (1, *GREEN)))
        label = open_folder(tmp_path / "out", split).label(0)
        assert label is not None and label[3, 4] == 2
    assert open_folder(tmp_path / "out", "train").info.colours[1:] == ((0, 128, 64), (255, 0, 0))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.yaml", "apple: [255, 0, 0]\nleaf: '#008040'\n"),
        ("t.yml", "classes: {0: apple, 1: leaf}\ncolours: [[255, 0, 0], [0, 128, 64]]\n"),
        ("t.csv", "name,r,g,b\napple,255,0,0\nleaf, 0, 128, 64\n"),
        ("t.txt", "# label:color_rgb:parts:actions\napple:255,0,0::\nleaf:0,128,64::\n"),
        ("hex.csv", "apple,#ff0000\nleaf,008040\n"),
    ],
)
def test_colour_tables_of_several_forms_and_black_ignored(tmp_path: Path, name: str, text: str) -> None:
    photo(tmp_path / "photos" / "a.png")
    coloured(tmp_path / "in" / "a.png")
    (tmp_path / name).write_text(text)
    done = convert(tmp_path / "in", "colour", tmp_path / "out", images=tmp_path / "photos", colours=tmp_path / name)
    assert done.classes == ("apple", "leaf")
    same(stored(tmp_path / "out", "a"), expect((0, *RED), (1, *GREEN), blank=255))
    assert yaml.safe_load((tmp_path / "out" / "dataset.yaml").read_text()) == {
        "name": "out", "classes": ["apple", "leaf"], "colours": [[255, 0, 0], [0, 128, 64]],
    }  # fmt: skip


def test_colours_that_the_table_lacks_and_masks_of_many_colours(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "images" / "a.png")
    coloured(tmp_path / "in" / "masks" / "a.png")
    (tmp_path / "t.yaml").write_text("sky: [0, 0, 0]\napple: [255, 0, 0]\n")
    with pytest.raises(SemisegError, match="#008040 at row 10, column 3 is no class's colour"):
        convert(tmp_path / "in", "colour", tmp_path / "out", colours=tmp_path / "t.yaml")
    convert(tmp_path / "in", "colour", tmp_path / "out", colours=tmp_path / "t.yaml", others="ignore")
    same(stored(tmp_path / "out", "a"), expect((1, *RED), (255, *GREEN)))
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "in" / "masks" / "a.png")
    with pytest.raises(SemisegError, match="more than 32 colours"):
        convert(tmp_path / "in", "colour", tmp_path / "again")
    (tmp_path / "t.yaml").write_text("sky: [0, 0, 300]\n")
    with pytest.raises(SemisegError, match=r"t\.yaml is no colour table .*expected YAML"):
        convert(tmp_path / "in", "colour", tmp_path / "again", colours=tmp_path / "t.yaml")


def test_cvat_masks_with_their_labelmap(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "JPEGImages" / "a.png")
    coloured(tmp_path / "in" / "SegmentationClass" / "a.png")
    coloured(tmp_path / "in" / "SegmentationClass" / "b.png")
    (tmp_path / "in" / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nleaf:0,128,64::\napple:255,0,0::\n"
    )
    done = convert(tmp_path / "in", "colour", tmp_path / "out")
    assert done.classes == ("background", "leaf", "apple") and "1 masks have no image" in done.notes[0]
    same(stored(tmp_path / "out", "a"), expect((2, *RED), (1, *GREEN)))


def test_grey_masks_of_16_bits_are_levels_in_order_of_value(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "images" / "a.png")
    values = np.zeros((HEIGHT, WIDTH), np.uint16)
    values[RED], values[GREEN] = 100, 200
    path = tmp_path / "in" / "masks" / "a.png"
    path.parent.mkdir()
    Image.fromarray(values).save(path)
    done = convert(tmp_path / "in", "colour", tmp_path / "out")
    assert done.classes == ("background", "#646464", "#c8c8c8")
    same(stored(tmp_path / "out", "a"), expect((1, *RED), (2, *GREEN)))
    Image.fromarray(values * 100).save(path)  # as RGB both would be white
    done = convert(tmp_path / "in", "colour", tmp_path / "again")
    assert done.classes == ("background", "value_10000", "value_20000")
    same(stored(tmp_path / "again", "a"), expect((1, *RED), (2, *GREEN)))
