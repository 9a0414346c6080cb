"""What conversions of every format share."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import HEIGHT, WIDTH, labelme, photo, shape, square, stored
from PIL import Image
from typer.testing import CliRunner

from semiseg.cli import app
from semiseg.data.convert import Converted, convert
from semiseg.data.convert.export import Picture
from semiseg.data.convert.writing import upright_size
from semiseg.data.datasets.folder import open_folder
from semiseg.data.files import read_rgb
from semiseg.errors import SemisegError, UsageError


def one(tmp_path: Path, **options: Any) -> Converted:
    if not (tmp_path / "in").exists():
        photo(tmp_path / "in" / "a.png")
        labelme(tmp_path / "in" / "a.json", [shape("leaf", square(2, 2, 10))])
    return convert(tmp_path / "in", **{"format": "labelme", "output": tmp_path / "out"} | options)


def test_the_result_is_a_folder_that_training_reads_and_nothing_is_overwritten(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "b.png")
    labelme(tmp_path / "in" / "b.json", [shape("leaf", square(0, 0, 4))])
    photo(tmp_path / "in" / "a.png")
    labelme(tmp_path / "in" / "a.json", [shape("leaf", square(2, 2, 10))])
    (tmp_path / "out").mkdir()  # an empty folder may be filled
    told: list[tuple[int, int]] = []
    one(tmp_path, progress=lambda *done: told.append(done))
    assert told == [(1, 2), (2, 2)]
    train = open_folder(tmp_path / "out", "train")
    assert train.info.classes == ("background", "leaf") and train.label(0) is not None
    assert (tmp_path / "out" / "images" / "a.png").read_bytes() == (tmp_path / "in" / "a.png").read_bytes()
    with Image.open(tmp_path / "out" / "masks" / "a.png") as mask:
        assert mask.convert("RGB").getpixel((5, 5)) == train.info.colours[1]
    before = sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "out").rglob("*"))
    with pytest.raises(UsageError, match="exists; nothing is overwritten: choose another --output"):
        one(tmp_path)
    assert before == sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "out").rglob("*"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "voc"}, "--from 'voc': choose labelme, labelme_dataset, coco, yolo, .* or colour"),
        ({"empty": "full"}, "--empty 'full'"),
        ({"overlap": "first"}, "--overlap 'first'"),
        ({"others": "drop"}, "--others 'drop'"),
        ({"classes": ["leaf", "leaf"]}, "name every class once"),
        ({"colours": "t.yaml"}, "--colours belongs to --from colour"),
        ({"background": "ignore", "empty": "background"}, "needs a background class"),
        ({"background": "ignore"}, r"1 classes \(leaf\): a mask tells 2 to 255 apart"),
        ({"images": "/nowhere"}, "no folder /nowhere with the images"),
    ],
)
def test_mistakes_name_the_mend(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SemisegError, match=message):
        one(tmp_path, **options)


def test_the_size_annotated_and_the_size_found_must_agree_after_turning(tmp_path: Path) -> None:
    one(tmp_path)
    lying = Image.fromarray(np.zeros((WIDTH, HEIGHT, 3), np.uint8))
    lying.save(tmp_path / "in" / "a.png")
    with pytest.raises(SemisegError, match=r"annotated at 30x20 pixels, the image found has 20x30 \(upright\)"):
        one(tmp_path, output=tmp_path / "two")
    turned = Image.Exif()
    turned[0x0112] = 6
    lying.save(tmp_path / "in" / "a.png", exif=turned)
    one(tmp_path, output=tmp_path / "two")
    assert stored(tmp_path / "two", "a").shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_the_size_of_a_turned_image_is_that_of_its_pixels_as_read(tmp_path: Path, suffix: str) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.zeros((20, 40, 3), np.uint8)).save(path, exif=turned)
    assert upright_size(Picture(path, path.name)) == read_rgb(path).shape[:2] == (40, 20)


def test_the_command_prints_the_classes_and_what_to_do_next(tmp_path: Path) -> None:
    one(tmp_path)
    words = ["data", "convert", str(tmp_path / "in"), "--from", "labelme", "--output", str(tmp_path / "new")]
    done = CliRunner().invoke(app, [*words, "--classes", "leaf, moss", "--background", "soil"])
    assert done.exit_code == 0, done.stderr
    assert (
        "leaf" in done.stdout and "1 images, 1 with a mask" in done.stdout and "next: semiseg data check" in done.stdout
    )
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 2 and "exists" in again.stderr and len(again.stderr.strip().splitlines()) == 1
