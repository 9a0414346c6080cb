"""``semiseg data check``, the commands that it gives, and the check before a training."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny, write_picture
from PIL import Image
from typer.testing import CliRunner

from semiseg.cli import app
from semiseg.data.datasets.folder import open_folder
from semiseg.errors import SemisegError
from semiseg.training.loop import Run


def check(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["data", "check", *(str(word) for word in words)])
    return done.exit_code, done.stdout, done.stderr


def colour_masks(root: Path) -> None:
    """Save the folder's masks anew as pictures in the classes' colours."""
    colours = np.array([[0, 0, 0], [200, 0, 0], [0, 200, 0]], np.uint8)
    for path in (root / "masks").iterdir():
        with Image.open(path) as mask:
            Image.fromarray(colours[np.array(mask)]).save(path)


def repaint(root: Path, values: list[int]) -> None:
    """Save the folder's masks anew with other values for the classes 0, 1 and 2."""
    for path in (root / "masks").iterdir():
        with Image.open(path) as mask:
            Image.fromarray(np.array(values, np.uint8)[np.array(mask)]).save(path)


def test_colour_masks_are_told_with_a_command_that_converts_them(folder: Path) -> None:
    colour_masks(folder)
    (folder / "masks" / "photo00.png").write_bytes(b"junk")
    code, out, _ = check(folder, "--json")
    first, second = json.loads(out)["findings"]
    assert code == 1 and (first["where"], second["where"]) == ("masks/photo00.png", "masks/photo01.png")
    assert "cannot be read" in first["message"] and second["message"].startswith("4 masks are colour pictures")
    code, out, _ = check(folder)
    assert code == 1 and "could not be opened: 2 errors" in out and "colour" in out
    (folder / "masks" / "photo00.png").unlink()
    done = CliRunner().invoke(app, shlex.split(second["remedy"])[1:])
    assert done.exit_code == 0, done.stderr
    code, out, _ = check(f"{folder}_converted", "data.crop=32")
    assert code == 0 and "12 training images" not in out and "3 classes: 0 errors" in out


def test_files_that_keep_a_folder_from_being_opened_are_all_listed(folder: Path) -> None:
    Image.fromarray(np.full((64, 64), 300, np.uint16)).save(folder / "masks" / "photo00.png")
    with Image.open(folder / "masks" / "photo01.png") as mask:
        mask.save(folder / "masks" / "photo01.jpg")
    (folder / "masks" / "photo01.png").unlink()
    code, out, _ = check(folder, "--json")
    told = [(f["where"], f["message"]) for f in json.loads(out)["findings"]]
    assert code == 1 and told == [
        ("masks/photo00.png", "holds the value 300"),
        ("masks/photo01.jpg", "1 mask is in a format that changes class numbers"),
    ]


def test_what_cannot_be_opened_for_another_reason_is_json_too(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    code, out, _ = check(tmp_path, "--json")
    found = json.loads(out)
    assert code == 1 and found["errors"] == 1 and found["findings"][0]["where"] == "data"
    assert "no train images in" in found["findings"][0]["message"]
    code, out, err = check(tmp_path)
    assert code == 1 and out == "" and "no train images in" in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("described", ["", "classes: [ground, leaf]\n", "classes: [a, b, c]\n"])
@pytest.mark.parametrize("values", [[0, 255, 255], [0, 127, 254]])
def test_black_and_white_and_grey_masks_are_errors_with_a_command_that_converts_them(
    folder: Path, described: str, values: list[int]
) -> None:
    repaint(folder, values)
    if described:
        (folder / "dataset.yaml").write_text(described)
    code, out, _ = check(folder, "data.crop=32", "--json")
    findings = [f for f in json.loads(out)["findings"] if f["level"] == "error"]
    assert code == 1 and findings
    command = findings[0]["remedy"].rpartition("run ")[2]
    assert command == f"semiseg data convert {folder} --from colour --output {folder}_converted"
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    assert done.exit_code == 0, done.stderr
    code, out, _ = check(f"{folder}_converted", "data.crop=32")
    assert code == 0 and f"{len(set(values))} classes: 0 errors" in out


def test_a_class_that_is_missing_beside_ignored_pixels_is_no_error(folder: Path) -> None:
    (folder / "dataset.yaml").write_text("classes: [a, b, c]\n")
    repaint(folder, [0, 1, 255])
    code, out, _ = check(folder, "data.crop=32", "--json")
    found = [(f["level"], f["message"]) for f in json.loads(out)["findings"]]
    assert code == 0 and found == [("warning", "no labelled image shows: c")]


def test_a_folder_is_checked_with_the_settings_that_training_would_use(folder: Path) -> None:
    code, out, _ = check(folder, "--json")
    assert code == 0 and "smaller than the crop" not in out  # it follows from the images
    code, out, _ = check(folder, "data.crop=256", "--json")
    assert code == 0 and "smaller than the crop (256, 256)" in out


def test_training_checks_the_source_set_too(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for i in range(3):
        write_picture(source, f"s{i}", i, mask=True)
    (source / "dataset.yaml").write_text("classes: [class_0, class_1, class_2]\n")
    changes = {"data__source__dataset": "folder", "data__source__root": str(source)}
    Run(tiny(folder, tmp_path / "good", **changes))
    name = open_folder(source, "train").names[0]
    Image.fromarray(np.full((64, 64), 9, np.uint8)).save(source / "masks" / f"{name}.png")
    with pytest.raises(SemisegError, match=rf"source/{name}: .*{name}\.png holds values 9 outside the classes"):
        Run(tiny(folder, tmp_path / "bad", **changes))
    assert not (tmp_path / "bad").exists()
    code, out, _ = check(folder, *(f"{key.replace('__', '.')}={value}" for key, value in changes.items()), "--json")
    assert code == 1 and [f["where"] for f in json.loads(out)["findings"] if f["level"] == "error"] == [
        f"source/{name}"
    ]


def test_what_keeps_a_folder_closed_is_told_even_when_masks_are_coloured(folder: Path) -> None:
    colour_masks(folder)
    (folder / "dataset.yaml").write_text("classes: [a, b, c]\ncolors: [[0, 0, 0], [200, 0, 0], [0, 200, 0]]\n")
    code, out, _ = check(folder, "--json")
    first, *_ = json.loads(out)["findings"]
    assert code == 1 and "may hold name, classes, colours, ignore and orientation only" in first["message"]
