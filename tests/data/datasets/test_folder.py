from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from semiseg.data.base import default_colours
from semiseg.data.datasets.folder import open_folder
from semiseg.data.splits.hashed_folds import validation_part
from semiseg.data.splits.shuffled_folds import permuted_part
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
        mask.putpalette([v for colour in default_colours(256) for v in colour])
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
    assert len(set(default_colours(60))) == 60
    assert default_colours(5) == default_colours(60)[:5]


def flat(root: Path, values: list[np.ndarray], **settings: object) -> Path:
    """A flat folder with an image for each mask, and dataset.yaml from ``settings`` where there are any."""
    for i, mask in enumerate(values):
        put(root / "images" / f"{i}.png", np.zeros((*mask.shape[:2], 3), np.uint8))
        put(root / "masks" / f"{i}.png", mask)
    if settings:
        (root / "dataset.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    return root


def test_who_validates_in_a_flat_folder_follows_from_the_names(tmp_path: Path) -> None:
    root = flat(tmp_path, [np.ones((6, 8), np.uint8)] * 10)
    names = [str(i) for i in range(10)]
    assert open_folder(root, "val").names == sorted(validation_part(names))
    assert open_folder(root, "val", validation="permutation").names == sorted(permuted_part(names))
    assert open_folder(root, "train", validation="none").names == names
    with pytest.raises(UsageError, match="validation=none leaves no validation image"):
        open_folder(root, "val", validation="none")
    with pytest.raises(UsageError, match="validation='fifth': choose hash, permutation or none"):
        open_folder(root, "val", validation="fifth")


def test_every_mask_validates_in_one_of_five_folds(tmp_path: Path) -> None:
    root = flat(tmp_path, [np.ones((6, 8), np.uint8)] * 7)
    put(root / "images" / "bare.png", picture())
    parts = [(open_folder(root, "train", fold=fold).names, open_folder(root, "val", fold=fold).names)
             for fold in range(5)]  # fmt: skip
    assert {name for _, val in parts for name in val} == {str(i) for i in range(7)}
    assert all(sorted([*train, *val]) == [*map(str, range(7)), "bare"] for train, val in parts)
    assert open_folder(root, "val").names == parts[4][1], "without the option it is the last fold"


@pytest.mark.parametrize("fold", [-1, 5, True, "1", 0.5])
def test_folds_that_do_not_exist(tmp_path: Path, fold: Any) -> None:
    root = flat(tmp_path, [np.ones((6, 8), np.uint8)] * 5)
    with pytest.raises(UsageError, match="a folder has the folds 0 to 4"):
        open_folder(root, "train", fold=fold)


def test_folds_need_five_masks_and_an_undivided_set(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs 5 images with masks, and there are 4"):
        open_folder(flat(tmp_path / "few", [np.ones((6, 8), np.uint8)] * 4), "train", fold=0)
    put(tmp_path / "divided" / "images" / "train" / "a.png", picture())
    with pytest.raises(UsageError, match=r"divided into train/ and val/ already; leave data\.options\.fold out"):
        open_folder(tmp_path / "divided", "train", fold=0)


def test_classes_by_id_and_several_ignored_values(tmp_path: Path) -> None:
    mask = np.array([[0, 1], [7, 300]], np.uint16)
    root = flat(tmp_path, [mask, mask], classes={1: "plant", 0: "soil"}, ignore=[7, 300])
    train = open_folder(root, "train")
    assert train.info.classes == ("soil", "plant")
    label = train.label(0)
    assert label is not None and label.dtype == np.uint8 and label.tolist() == [[0, 1], [255, 255]]


@pytest.mark.parametrize("value", [-1, 70_000])
def test_values_beyond_sixteen_bits_are_outside_the_classes(tmp_path: Path, value: int) -> None:
    mask = Image.fromarray(np.full((2, 2), value, np.int32))
    root = flat(tmp_path, [np.zeros((2, 2), np.uint8)], classes=["a", "b"])
    mask.save(root / "masks" / "0.tif")
    (root / "masks" / "0.png").unlink()
    with pytest.raises(SemisegError, match=f"0.tif holds values {value} outside"):
        open_folder(root, "val").label(0)


def test_opacity_is_no_class(tmp_path: Path) -> None:
    indices = np.array([[0, 1], [1, 0]], np.uint8)
    root = flat(tmp_path, [indices], classes=["a", "b"])
    Image.merge("LA", [Image.fromarray(indices), Image.new("L", (2, 2), 255)]).save(root / "masks" / "0.png")
    label = open_folder(root, "val").label(0)
    assert label is not None and label.tolist() == indices.tolist()


def test_colours_alone_count_the_classes(tmp_path: Path) -> None:
    root = flat(tmp_path, [np.full((2, 2, 3), 9, np.uint8)], colours=[[1, 2, 3], [9, 9, 9]])
    val = open_folder(root, "val")
    assert val.info.classes == ("class_0", "class_1") and (val.label(0) == 1).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": {-1: "a", 2: "b"}}, "a mapping from mask value"),
        ({"classes": {"a": 0, "b": 0}}, "one mask value to two classes"),
        ({"classes": "road"}, "must be a list"),
        ({"classes": ["a", "a"]}, "one class twice"),
        ({"classes": [f"c{i}" for i in range(256)]}, "2 to 255 names"),
        ({"classes": ["a", "b"], "ignore": "void"}, "ignore: void is not a mask value"),
        ({"classes": ["a", "b"], "ignore": [70_000]}, "ignore: .70000. is not a mask value"),
        ({"classes": ["a", "b"], "colours": [[1, 2], [3, 4]]}, "must be a list of .red, green, blue."),
        ({"classes": ["a", "b"], "colours": [[1, 2, 300], [3, 4, 5]]}, "each from 0 to 255"),
        ({"classes": ["a", "b"], "colours": [[1, 2, 3], [1, 2, 3]]}, "the same colour"),
        ({"classes": ["a", "b"], "colours": [[1, 2, 3]]}, "1 colours for 2 classes"),
        (
            {"colors": [[1, 2, 3]]},
            r"may hold name, classes, colours, ignore and orientation only, not .colors.; did you mean .colours.",
        ),
    ],
)
def test_wrong_descriptions(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    root = flat(tmp_path, [np.ones((2, 2), np.uint8)], **settings)
    with pytest.raises(SemisegError, match=rf"dataset\.yaml.*{message}"):
        open_folder(root, "val")


def test_a_description_that_is_not_yaml(tmp_path: Path) -> None:
    root = flat(tmp_path, [np.ones((2, 2), np.uint8)])
    (root / "dataset.yaml").write_text("classes: [a, b")
    with pytest.raises(SemisegError, match=r"dataset\.yaml is not YAML") as caught:
        open_folder(root, "val")
    assert "\n" not in str(caught.value)


def test_masks_whose_classes_cannot_be_counted(tmp_path: Path) -> None:
    with pytest.raises(SemisegError, match=r"show a single class \(255 means ignored\)"):
        open_folder(flat(tmp_path / "binary", [np.array([[0, 255]], np.uint8)]), "val")
    with pytest.raises(SemisegError, match=r"1\.png holds the value 900, and the masks 2 different values in all"):
        open_folder(flat(tmp_path / "deep", [np.array([[0]], np.uint8), np.array([[900]], np.uint16)]), "val")
    with pytest.raises(SemisegError, match=r"1\.png holds the value 7, and the masks 3 different values in all"):
        open_folder(flat(tmp_path / "stray", [np.array([[0, 1]], np.uint8), np.array([[1, 7]], np.uint8)]), "val")
    half = flat(tmp_path / "half", [np.array([[0, 1]], np.uint8), np.array([[5, 255]], np.uint8)])
    assert len(open_folder(half, "val").info.classes) == 6


def test_lossy_masks_options_and_an_empty_split_are_errors(tmp_path: Path) -> None:
    root = flat(tmp_path, [np.ones((2, 2), np.uint8)])
    with pytest.raises(UsageError, match="no option 'look'"):
        open_folder(root, "train", look="game")
    with pytest.raises(SemisegError, match=r"no train images in .*images/ holds: 0\.png"):
        open_folder(root, "train")  # its only image became the validation set
    put(root / "images" / "1.png", picture())
    put(root / "masks" / "1.jpg", np.ones((2, 2), np.uint8))
    with pytest.raises(
        SemisegError, match=r"1\.jpg: this format changes class indices; run semiseg data convert .* --from colour"
    ):
        open_folder(root, "train")


@pytest.mark.parametrize("kind", ["png", "tif", "float.tif"])
def test_deep_grey_images_are_refused_and_deep_masks_read(tmp_path: Path, kind: str) -> None:
    root = flat(tmp_path, [np.array([[0, 1]], np.uint8), np.array([[1, 0]], np.uint8)])
    image = Image.fromarray(np.array([[0, 5000]], np.float32 if "float" in kind else np.uint16))
    (root / "images" / "0.png").unlink()
    image.save(root / "images" / f"0.{kind.split('.')[-1]}")
    both = {name: part.image(part.names.index(name)) if name != "0" else part
            for part in (open_folder(root, "train"), open_folder(root, "val")) for name in part.names}  # fmt: skip
    with pytest.raises(SemisegError, match="holds 16-bit or floating-point values; convert it to 8 bits"):
        both["0"].image(both["0"].names.index("0"))
    (root / "masks" / "0.png").unlink()
    mask = np.array(
        [[0, 0.5]] if "float" in kind else [[0, 1]],
        np.float32 if "float" in kind else ">u2" if kind == "tif" else np.uint16,
    )
    Image.fromarray(mask).save(root / "masks" / f"0.{kind.split('.')[-1]}")
    if "float" in kind:
        with pytest.raises(SemisegError, match="holds floating-point values; save class numbers as 8-bit PNG"):
            open_folder(root, "train")
    else:
        (part,) = (p for p in (open_folder(root, "train"), open_folder(root, "val")) if "0" in p.names)
        assert part.label(part.names.index("0")).tolist() == [[0, 1]]
