"""Folders as people have them: read as they lie, or answered with one command that works as it is printed."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import folders
import numpy as np
import pytest
from folders import COLOURS, GREYS, MASKS, NAMED, folder, scene
from PIL import Image
from typer.testing import CliRunner

from semiseg.cli import app
from semiseg.data.check.layout import laid_out
from semiseg.data.datasets.folder import open_folder
from semiseg.data.layouts.command import ConvertFirst
from semiseg.errors import SemisegError


def check(root: Path) -> tuple[int, dict[str, object]]:
    done = CliRunner().invoke(app, ["data", "check", str(root), "--no-looks", "--json"])
    return done.exit_code, json.loads(done.stdout)


def labels(root: Path) -> dict[str, np.ndarray]:
    """Labels by the last part of the name of their image."""
    parts = [open_folder(root, split) for split in ("train", "val")]
    return {part.names[i].rpartition("/")[2]: part.label(i) for part in parts for i in range(len(part))
            if part.has_label(i)}  # fmt: skip


def are_true(found: dict[str, np.ndarray], equal: float = 1.0) -> None:
    """Whether there is a label for each of the five masks, which says what was drawn."""
    assert len(found) == MASKS
    for name, label in found.items():
        truth = scene(int(name[1:3]))[1]
        known = label != 255
        assert (label == truth)[known].mean() >= equal and known.mean() > 0.9


def folder_of_colour_masks_in_jpeg(root: Path) -> Path:
    return folder(root, mask=lambda label: COLOURS[label], called="{}.jpg", quality=80)


def cityscapes(root: Path) -> Path:
    folder(root, "leftImg8bit/train/town", "gtFine/train/town", image="{}_leftImg8bit", called="{}_gtFine_labelIds.png")
    for path in sorted((root / "gtFine").rglob("*.png")):
        Image.open(path).save(path.with_name(path.name.replace("labelIds", "instanceIds")))
    for kind in ("leftImg8bit", "gtFine"):
        (root / kind / "val" / "town").mkdir(parents=True)
        for path in (root / kind / "train" / "town").glob("c04*"):
            path.rename(root / kind / "val" / "town" / path.name)
    return root


AS_IT_LIES: dict[str, Callable[[Path], Path]] = {
    "suffix": lambda root: folder(root, called="{}_mask.png"),
    "dash": lambda root: folder(root, called="{}-mask.png"),
    "gt": lambda root: folder(root, masks="gt", called="{}_gt.png"),
    "potsdam": lambda root: folder(root, image="{}_RGB", called="{}_label.tif"),
    "nnunet": lambda root: folder(root, "imagesTr", "labelsTr", image="{}_0000"),
    "beside": lambda root: folder(root, ".", ".", called="{}_seg.png"),
    "photo and mask of one stem": lambda root: folder(root, ".", ".", "jpg"),
    "bmp and png of one stem": lambda root: folder(root, ".", ".", "bmp"),
    "photos beside masks/": lambda root: folder(root, ".", "masks"),
    "labels": lambda root: folder(root, masks="labels"),
    "annotations": lambda root: folder(root, masks="annotations"),
    "capitals": lambda root: folder(root, "Images", "Masks"),
    "sub-folders": lambda root: folder(root, "images/site1", "masks/site1"),
    "sites": lambda root: folder(root, "site1/images", "site1/masks"),
    "roboflow": folders.roboflow,
    "cvat": folders.cvat,
    "supervisely masks": lambda root: folder(root, "img", "masks_machine"),
    "cityscapes": cityscapes,
}


@pytest.mark.parametrize("case", AS_IT_LIES)
def test_what_needs_no_conversion_is_read_as_it_lies(tmp_path: Path, case: str) -> None:
    root = AS_IT_LIES[case](tmp_path / "in")
    are_true(labels(root))
    laid = laid_out(root)
    assert laid.sure == "certain" and laid.command == "" and "5 of 5 masks have their image, 8 images" in laid.told


def test_the_classes_of_other_tools_are_taken(tmp_path: Path) -> None:
    assert open_folder(folders.roboflow(tmp_path / "roboflow"), "train").info.classes == ("ground", "disc", "core")
    info = open_folder(folders.cvat(tmp_path / "cvat"), "train").info
    assert info.classes == ("background", "disc", "core") and info.colours == tuple(map(tuple, COLOURS.tolist()))
    assert "named by labelmap.txt" in laid_out(tmp_path / "cvat").told
    root = folder(tmp_path / "nnunet", "imagesTr", "labelsTr")
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "disc": 1, "core": 2, "ignore": 3}}))
    assert open_folder(root, "train").info.classes == ("background", "disc", "core")
    root = folder(tmp_path / "yolo masks", masks="labels")
    (root / "data.yaml").write_text("names: [ground, disc, core]\n")
    assert open_folder(root, "train").info.classes == ("ground", "disc", "core")


TO_CONVERT: dict[str, tuple[Callable[[Path], Path], str, float]] = {
    "bmp beside grey png": (lambda root: folder(root, ".", ".", "bmp", lambda label: GREYS[label]), "colour", 1.0),
    "grey": (lambda root: folder(root, mask=lambda label: GREYS[label]), "colour", 1.0),
    "yolo": (folders.yolo, "yolo", 0.97),
    "coco": (folders.coco, "coco", 0.97),
}


@pytest.mark.parametrize("case", TO_CONVERT)
def test_check_and_training_give_the_one_command_that_makes_it_usable(tmp_path: Path, case: str) -> None:
    make, form, equal = TO_CONVERT[case]
    root = make(tmp_path / "my folder")
    code, found = check(root)
    (finding,) = [finding for finding in found["findings"] if finding["level"] == "error"]
    command = finding["command"]
    assert code == 1 and f"--from {form} " in command and finding["remedy"].endswith(command)
    with pytest.raises(ConvertFirst) as caught:
        open_folder(root, "train")
    assert str(caught.value).endswith(command)
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    assert done.exit_code == 0, done.stderr
    are_true(labels(tmp_path / "my folder_converted"), equal)
    assert len(open_folder(tmp_path / "my folder_converted", "train").info.classes) == 3


@pytest.mark.parametrize("case", TO_CONVERT)
def test_conversion_needs_no_word_for_what_is_clear(tmp_path: Path, case: str) -> None:
    make, _, equal = TO_CONVERT[case]
    done = CliRunner().invoke(app, ["data", "convert", str(make(tmp_path / "in")), "--output", str(tmp_path / "out")])
    assert done.exit_code == 0, done.stderr
    are_true(labels(tmp_path / "out"), equal)


def test_the_command_stands_whole_below_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    root = folder(tmp_path / ("long " * 20).strip(), mask=lambda label: GREYS[label])
    done = CliRunner().invoke(app, ["data", "check", str(root), "--no-looks"])
    lines = done.stdout.splitlines()
    (command,) = [line for line in lines if line.startswith("semiseg data convert")]
    assert lines.index(command) > max(i for i, line in enumerate(lines) if line.startswith(("└", "│")))
    assert shlex.split(command)[-1] == f"{root}_converted" and Path(shlex.split(command)[3]) == root


def test_the_command_names_an_output_that_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(tmp_path / "in", mask=lambda label: GREYS[label])
    (tmp_path / "in_converted").mkdir()
    assert check(root)[1]["findings"][0]["command"].endswith("in_converted_2")
    monkeypatch.chdir(root)
    assert shlex.split(check(Path("."))[1]["findings"][0]["command"])[-1] == str(tmp_path / "in_converted_2")


def test_jpeg_masks_become_the_colours_that_were_painted(tmp_path: Path) -> None:
    root = folder_of_colour_masks_in_jpeg(tmp_path / "in")
    code, found = check(root)
    (finding,) = found["findings"]
    assert code == 1 and finding["message"] == "5 masks are in a format that changes class numbers"
    done = CliRunner().invoke(app, shlex.split(finding["command"])[1:])
    assert done.exit_code == 0, done.stderr
    train = open_folder(tmp_path / "in_converted", "train")
    assert train.info.num_classes == 3 and train.info.classes[0] == "background"
    assert all(max(abs(np.subtract(found, true))) <= 16 for found, true in
               zip(sorted(train.info.colours), sorted(map(tuple, COLOURS.tolist())), strict=True))  # fmt: skip
    kind = {0: 0, 1: train.info.colours.index(max(train.info.colours)), 2: 1}  # by the order of their colours
    for name, label in labels(tmp_path / "in_converted").items():
        truth = np.vectorize(kind.get)(scene(int(name[1:3]))[1])
        known = label != 255
        assert (label == truth)[known].mean() > 0.99 and known.mean() > 0.9
        assert all((label == k).sum() > 0.5 * (truth == k).sum() for k in range(3))


def test_black_stays_black(tmp_path: Path) -> None:
    root = folder(tmp_path / "in", mask=lambda label: COLOURS[label])
    command = check(root)[1]["findings"][0]["command"]
    assert CliRunner().invoke(app, shlex.split(command)[1:]).exit_code == 0
    info = open_folder(tmp_path / "in_converted", "train").info
    assert (info.classes[0], info.colours[0]) == ("background", (0, 0, 0))


def test_a_misspelt_key_is_answered_with_the_right_one(tmp_path: Path) -> None:
    root = folder(tmp_path)
    (root / "dataset.yaml").write_text(NAMED.replace("classes", "clases"))
    with pytest.raises(SemisegError, match="not 'clases'; did you mean 'classes'"):
        open_folder(root, "train")


@pytest.mark.parametrize("text", ["names: {0: ground, 1: disc, 2: core}\n", "names: [ground, disc, core]\n",
                                  "classes: {ground: 0, disc: 1, core: 2}\n"])  # fmt: skip
def test_names_as_others_write_them(tmp_path: Path, text: str) -> None:
    root = folder(tmp_path)
    (root / "dataset.yaml").write_text(text)
    info = open_folder(root, "train").info
    assert info.classes == ("ground", "disc", "core") and info.ids == ()


def test_grey_masks_are_no_classes_until_their_values_are_named(tmp_path: Path) -> None:
    root = folder(tmp_path, mask=lambda label: GREYS[label])
    with pytest.raises(SemisegError, match="128 is no class number"):
        open_folder(root, "train")
    (root / "dataset.yaml").write_text("classes: {0: ground, 128: disc, 255: core}\n")
    are_true(labels(root))
    assert open_folder(root, "train").info.values == (0, 128, 255)
    (root / "dataset.yaml").write_text(NAMED)
    _, found = check(root)
    (finding,) = found["findings"]
    assert "values 128 outside the classes 0…2" in finding["message"] and len(finding["files"]) == 5


def test_a_single_mask_is_told_with_what_is_needed(tmp_path: Path) -> None:
    root = folder(tmp_path)
    for path in sorted((root / "masks").iterdir())[1:]:
        path.unlink()
    _, found = check(root)
    (finding,) = found["findings"]
    assert "one image has a mask" in finding["message"]
    assert "at least one more image" in finding["remedy"] and "train/ and val/" in finding["remedy"]


def test_images_of_sixteen_bits_are_one_finding_with_a_command_that_mends_them(tmp_path: Path) -> None:
    root = folder(tmp_path / "in")
    for path in sorted((root / "images").iterdir()):
        grey = np.asarray(Image.open(path).convert("L")).astype(np.uint16) * 16
        path.unlink()
        Image.fromarray(grey).save(path.with_suffix(".tif"))
    _, found = check(root)
    (finding,) = found["findings"]
    assert finding["message"].startswith("8 files alike") and len(finding["files"]) == 8
    done = CliRunner().invoke(app, shlex.split(finding["command"])[1:])
    assert done.exit_code == 0 and "taken for 12 bits" in done.stderr, done.stderr
    are_true(labels(tmp_path / "in_converted"))
    assert open_folder(tmp_path / "in_converted", "train").image(0).max() > 200


def test_a_file_is_recognised_too(tmp_path: Path) -> None:
    code, found = check(folders.coco(tmp_path) / "instances.json")
    assert code == 1 and found["layout"]["sure"] == "certain" and "--from coco" in found["findings"][0]["command"]
    (tmp_path / "notes.txt").write_text("nothing")
    done = CliRunner().invoke(app, ["data", "check", str(tmp_path / "notes.txt")])
    assert done.exit_code == 2 and "no export that is known" in done.stderr
