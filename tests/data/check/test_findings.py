"""One row for one kind of fault, which names its files; and faults of masks that lie are found."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny
from folders import GREYS, NAMED, folder, put, scene
from PIL import Image
from typer.testing import CliRunner

from semiseg.cli import app
from semiseg.data.check.finding import Finding, by_kind
from semiseg.errors import SemisegError
from semiseg.training.loop import Run


def errors(root: Path) -> list[dict[str, object]]:
    done = CliRunner().invoke(app, ["data", "check", str(root), "--no-looks", "--json"])
    return [finding for finding in json.loads(done.stdout)["findings"] if finding["level"] == "error"]


def fault(where: str, message: str, remedy: str = "mend it") -> Finding:
    return Finding("error", where, message, remedy)


def test_faults_that_differ_in_file_and_numbers_are_one_kind() -> None:
    found = by_kind([
        fault("train/a", "x/masks/a.png holds values 7"), fault("val/site/b", "x/masks/site/b.png holds values 9, 12"),
        fault("train/c", "x/masks/c.png holds values 7"), fault("train/d", "x/masks/d.png cannot be read"),
        fault("train/e", "x/masks/e.png holds values 7", "another mend"),
    ])  # fmt: skip
    assert [(f.where, f.message.partition(":")[0]) for f in found] == [
        ("train/a", "3 files alike, first"), ("train/d", "x/masks/d.png cannot be read"),
        ("train/e", "x/masks/e.png holds values 7"),
    ]  # fmt: skip
    assert found[0].files == ("train/a", "val/site/b", "train/c")


@pytest.mark.parametrize("way", [3, 6, 8])
def test_masks_of_turned_photos_are_one_row(tmp_path: Path, way: int) -> None:
    root = folder(tmp_path, ext="jpg")
    for i in range(5):
        exif = Image.Exif()
        exif[0x0112] = way
        put(scene(i)[0], root / "images" / f"c{i:02}.jpg", exif=exif)
    (finding,) = errors(root)
    assert f"orientation {way}" in str(finding["message"]) and len(finding["files"]) == 5
    assert "orientation: upright" in str(finding["remedy"])


def test_files_of_several_pages_are_one_row(tmp_path: Path) -> None:
    root = folder(tmp_path)
    for i in range(8):
        (root / "images" / f"c{i:02}.png").unlink()
        pages = [Image.fromarray(scene(i)[0])] * 2
        pages[0].save(root / "images" / f"c{i:02}.tif", save_all=True, append_images=pages[1:])
    (finding,) = errors(root)
    assert "holds 2 pages" in str(finding["message"]) and len(finding["files"]) == 8


def test_palettes_that_differ_are_one_row(tmp_path: Path) -> None:
    root = folder(tmp_path)
    for i in range(5):
        mask = Image.fromarray(scene(i)[1])
        mask.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255] if i % 2 else [0, 0, 0, 0, 0, 255, 255, 0, 0])
        mask.save(root / "masks" / f"c{i:02}.png")
    (finding,) = errors(root)
    assert "its palette and that of" in str(finding["message"])


def test_training_says_the_same_command_and_ends_with_it(tmp_path: Path) -> None:
    root = folder(tmp_path / "in", mask=lambda label: GREYS[label])
    (root / "dataset.yaml").write_text(NAMED)
    command = errors(root)[0]["command"]
    with pytest.raises(SemisegError) as caught:
        Run(tiny(root, tmp_path / "run"))
    assert str(caught.value).endswith(f"run {command}") and "4 more" in str(caught.value)


def test_transparent_and_no_data_pixels_are_ignored_not_learnt(tmp_path: Path) -> None:
    root = folder(tmp_path)
    for i in range(5):
        picture = np.dstack([scene(i)[0], np.full((48, 48), 255, np.uint8)])
        picture[:10, :, 3] = 0
        put(picture, root / "images" / f"c{i:02}.png")
    done = CliRunner().invoke(app, ["data", "check", str(root), "--no-looks", "--json"])
    told = [f["message"] for f in json.loads(done.stdout)["findings"]]
    assert any("images have transparent or no-data pixels" in str(text) for text in told)
