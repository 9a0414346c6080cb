"""What could mean several things is an error or a remark, never a guess that is trained on."""

import json
from pathlib import Path

import numpy as np
import pytest
from folders import folder, put, scene
from PIL import Image

from semiseg.data.convert import convert
from semiseg.data.datasets.folder import open_folder
from semiseg.data.layouts.endings import match
from semiseg.data.layouts.recognise import recognise
from semiseg.errors import SemisegError, UsageError


def masks(*stems: str) -> dict[str, Path]:
    return {stem: Path(f"{stem}.png") for stem in stems}


def test_the_longest_image_name_and_a_usual_ending_tell() -> None:
    found = match(["a", "a_b", "c"], masks("a_mask", "a_b_mask", "c"))
    assert {name: path.stem for name, path in found.masks.items()} == {"a": "a_mask", "a_b": "a_b_mask", "c": "c"}
    assert found.alone == [] and found.endings == ["_mask"]


def test_an_ending_of_its_own_is_taken_when_it_explains_all_masks() -> None:
    assert len(match(["a", "b"], masks("a_polyp", "b_polyp")).masks) == 2
    assert match(["a", "b"], masks("a_polyp", "b_cell")).masks == {}
    assert match(["a", "b"], masks("a_polyp", "b_polyp", "other")).masks == {}
    assert match(["a1", "b1"], masks("a12", "b12")).masks == {}, "a2 is another image, not the mask of a"


def test_two_masks_of_one_image_are_an_error_unless_one_has_its_very_name() -> None:
    with pytest.raises(SemisegError, match=r"a_mask\.png and a_seg\.png could both be the mask of a"):
        match(["a"], masks("a_mask", "a_seg"))
    found = match(["a", "b"], masks("a", "a_mask", "b_mask"))
    assert found.masks["a"].stem == "a" and [path.stem for path in found.further] == ["a_mask"]


def test_more_masks_of_an_image_are_told(tmp_path: Path) -> None:
    root = folder(tmp_path)
    put(scene(0)[1], root / "masks" / "c00_mask.png")
    assert any("1 more files bear the names of images that have a mask" in text
               for text in open_folder(root, "train").remarks)  # fmt: skip


def test_two_folders_of_masks_are_an_error_unless_one_is_called_masks(tmp_path: Path) -> None:
    root = folder(tmp_path, masks="labels")
    put(scene(0)[1], root / "gt" / "c00.png")
    with pytest.raises(SemisegError, match="could both hold the masks"):
        open_folder(root, "train")
    (root / "labels").rename(root / "masks")
    assert sum(open_folder(root, "train", validation="none").has_label(i) for i in range(8)) == 5


def test_pictures_of_one_stem_of_which_neither_is_a_mask(tmp_path: Path) -> None:
    for i in range(3):
        for ext in ("png", "bmp"):
            put(scene(i)[0], tmp_path / f"c{i}.{ext}")
    with pytest.raises(SemisegError, match=r"share a stem; rename one, or, if one is the mask"):
        open_folder(tmp_path, "train")


def test_images_beside_folders_of_images_are_told_and_not_read(tmp_path: Path) -> None:
    root = folder(tmp_path)
    put(scene(60)[0], root / "images" / "site2" / "b.png")
    train = open_folder(root, "train")
    assert "site2/b" not in train.names and "b" not in train.names
    assert any(text.startswith("1 files in sub-folders of") for text in train.remarks)


def test_images_outside_of_train_and_val_are_told(tmp_path: Path) -> None:
    root = folder(tmp_path, "images/train", "masks/train")
    (root / "images" / "val").mkdir()
    put(scene(9)[0], root / "images" / "test" / "t.png")
    assert any("1 files outside of train/ and val/" in text for text in open_folder(root, "train").remarks)


def test_what_lies_beside_folders_of_training_and_validation_is_told(tmp_path: Path) -> None:
    root = folder(tmp_path, "train", "train", called="{}_mask.png")
    for i, split in enumerate(("valid", "test")):
        put(scene(i)[0], root / split / "a.png")
        put(scene(i)[1], root / split / "a_mask.png")
    train = open_folder(root, "train")
    assert len(train) == 8 and open_folder(root, "val").names == ["a"]
    assert any("2 files outside of train/ and val/" in text and "/test/a.png" in text for text in train.remarks)


def test_names_of_sub_folders_tell_images_of_one_stem_apart(tmp_path: Path) -> None:
    for i, site in enumerate(("one", "two")):
        put(scene(i)[0], tmp_path / "images" / site / "a.png")
        put(scene(i)[1], tmp_path / "masks" / site / "a.png")
    train = open_folder(tmp_path, "train", validation="none")
    assert train.names == ["one/a", "two/a"]
    assert all((train.label(i) == scene(i)[1]).all() for i in range(2))


def test_masks_that_number_objects_are_no_classes(tmp_path: Path) -> None:
    root = folder(tmp_path / "in")
    for i, path in enumerate(sorted((root / "masks").iterdir())):
        numbers = np.zeros((48, 48), np.uint16)
        for k in range(12 + i):
            numbers[2 * k % 40 : 2 * k % 40 + 2, k : k + 2] = k + 1
        path.unlink()
        Image.fromarray(numbers).save(path.with_suffix(".tif"))
    with pytest.raises(SemisegError, match=r"number objects one by one, up to 16 .* --from instances"):
        open_folder(root, "train")
    done = convert(root, "instances", tmp_path / "out")
    assert done.classes == ("background", "object") and done.masks == 5
    (root / "dataset.yaml").write_text(f"classes: [{', '.join(f'k{i}' for i in range(17))}]\n")
    assert open_folder(root, "train").info.num_classes == 17


def test_whole_numbers_stored_as_floating_point_are_class_numbers(tmp_path: Path) -> None:
    root = folder(tmp_path, mask=lambda label: label.astype(np.float32), called="{}.tif")
    train = open_folder(root, "train", validation="none")
    assert (train.label(0) == scene(0)[1]).all()


def test_what_nothing_reads_says_what_to_export_instead(tmp_path: Path) -> None:
    root = folder(tmp_path, masks=None)
    put(scene(0)[1] * 255, root / "masks" / "task-1-annotation-1-by-1-tag-leaf-0.png")
    with pytest.raises(SemisegError, match=r"brush masks of Label Studio.*; .*export the project as JSON"):
        open_folder(root, "train")
    with pytest.raises(SemisegError, match="export the project as JSON"):
        convert(root, None, tmp_path / "out")
    assert recognise(root)[0].command(root) == ""


def test_a_folder_that_holds_two_things_is_not_guessed(tmp_path: Path) -> None:
    root = folder(tmp_path / "in")
    sheet = {"images": [{"id": 0, "file_name": "c00.png"}], "categories": [{"id": 1, "name": "disc"}]}
    (root / "coco.json").write_text(json.dumps(sheet))
    with pytest.raises(UsageError, match=r"holds masks and COCO annotations.*choose one of them"):
        convert(root, None, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"nothing says what .*empty holds; say so with --from"):
        convert(tmp_path / "empty", None, tmp_path / "out")
