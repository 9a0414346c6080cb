from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semiseg.data.base import palette
from semiseg.data.folder import open_folder
from semiseg.errors import SemisegError, UsageError


def put(path: Path, array: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array, mode).save(path)


def picture(value: int = 0) -> np.ndarray:
    return np.full((6, 8, 3), value, np.uint8)


def test_flat_layout_images_without_a_mask_are_unlabelled(folder: Path) -> None:
    train, val = open_folder(folder, "train"), open_folder(folder, "val")
    assert len(train) + len(val) == 12 and len(val) == 1 and val.has_label(0)
    assert not set(train.names) & set(val.names)
    assert sum(train.has_label(i) for i in range(len(train))) == 4
    unlabelled = next(i for i in range(len(train)) if not train.has_label(i))
    assert train.label(unlabelled) is None
    assert train.info.classes == ("class_0", "class_1", "class_2")
    assert open_folder(folder, "val").names == val.names


def test_divided_layout_with_names_colours_and_ignored_values(tmp_path: Path) -> None:
    for split in ("train", "val"):
        put(tmp_path / "images" / split / "a.jpg", picture(90))
        put(tmp_path / "masks" / split / "a.png", np.full((6, 8), 7, np.uint8))
    mask = np.zeros((6, 8), np.uint8)
    mask[0], mask[1], mask[2] = 1, 7, 255
    put(tmp_path / "masks" / "train" / "a.png", mask)
    (tmp_path / "dataset.yaml").write_text(
        "name: crops\nclasses: [soil, plant]\ncolours: [[90, 60, 0], [0, 200, 0]]\nignore: 7\n"
    )
    train = open_folder(tmp_path, "train")
    assert (train.info.name, train.info.classes, train.info.colours) == (
        "crops",
        ("soil", "plant"),
        ((90, 60, 0), (0, 200, 0)),
    )
    label = train.label(0)
    assert label is not None and label[:4, 0].tolist() == [1, 255, 255, 0]


def test_palette_masks_give_indices_not_colours(tmp_path: Path) -> None:
    put(tmp_path / "images" / "a.png", picture())
    put(tmp_path / "images" / "b.png", picture())
    for name in "ab":
        mask = Image.fromarray(np.array([[0, 1], [2, 255]], np.uint8).repeat(3, 0).repeat(4, 1))
        mask.putpalette([v for colour in palette(256) for v in colour])
        (tmp_path / "masks").mkdir(exist_ok=True)
        mask.save(tmp_path / "masks" / f"{name}.png")
        with Image.open(tmp_path / "masks" / f"{name}.png") as stored:
            assert stored.mode == "P"
    label = open_folder(tmp_path, "train").label(0)
    assert label is not None and label[::5, ::7].tolist() == [[0, 1], [2, 255]]


def test_colour_masks_by_the_colours_of_dataset_yaml_or_a_clear_error(tmp_path: Path) -> None:
    put(tmp_path / "images" / "a.png", picture())
    put(tmp_path / "images" / "b.png", picture())
    colours = np.zeros((6, 8, 3), np.uint8)
    colours[:3] = (10, 20, 30)
    colours[3:, :2] = (1, 2, 3)
    for name in "ab":
        put(tmp_path / "masks" / f"{name}.png", colours)
    with pytest.raises(SemisegError, match=r"colour image.*dataset\.yaml"):
        open_folder(tmp_path, "train")
    (tmp_path / "dataset.yaml").write_text("classes: [x, y]\ncolours: [[10, 20, 30], [1, 2, 3]]\n")
    label = open_folder(tmp_path, "train").label(0)
    assert label is not None and label[[0, 4, 4], [0, 0, 5]].tolist() == [0, 1, 255]
    (tmp_path / "dataset.yaml").write_text("classes: [x, y]\ncolours: [[10, 20, 30], [9, 9, 9]]\n")
    with pytest.raises(SemisegError, match=r"colour \(1, 2, 3\) at row 3, column 0"):
        open_folder(tmp_path, "train").label(0)


def test_values_outside_the_classes_name_file_values_and_mend(folder: Path) -> None:
    (folder / "dataset.yaml").write_text("classes: [a, b]\n")
    train = open_folder(folder, "train")
    labelled = next(i for i in range(len(train)) if train.has_label(i))
    with pytest.raises(SemisegError, match=r"photo\d\d.png holds values 2 outside the classes 0…1.*dataset.yaml"):
        train.label(labelled)


def test_wrong_layouts_say_what_was_expected_and_found(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(SemisegError, match=r"expected images/ and masks/.*found: pictures"):
        open_folder(tmp_path, "train")
    with pytest.raises(SemisegError, match="no such folder"):
        open_folder(tmp_path / "nowhere", "train")
    put(tmp_path / "images" / "a.png", picture())
    with pytest.raises(SemisegError, match="no mask in"):
        open_folder(tmp_path, "train")
    put(tmp_path / "images" / "a.jpg", picture())
    with pytest.raises(SemisegError, match="share a stem"):
        open_folder(tmp_path, "train")
    with pytest.raises(UsageError, match="no split"):
        open_folder(tmp_path, "test")
    with pytest.raises(UsageError, match=r"data.root is missing"):
        open_folder(None, "train")


def test_palette_colours_are_distinct_and_stable() -> None:
    assert len(set(palette(60))) == 60
    assert palette(5) == palette(60)[:5]
