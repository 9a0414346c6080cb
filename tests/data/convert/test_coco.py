"""COCO files, made as the tools make them, become masks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import HEIGHT, WIDTH, expect, photo, same, square, stored

from semiseg.data.convert import convert
from semiseg.data.convert.coco import run_lengths
from semiseg.errors import SemisegError


def coco(path: Path, files: list[str], annotations: list[dict[str, Any]], names: dict[int, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = {
        "info": {"description": "", "version": "1.0", "year": 2026, "contributor": "", "date_created": ""},
        "licenses": [{"id": 0, "name": "", "url": ""}],
        "categories": [{"id": i, "name": name, "supercategory": ""} for i, name in names.items()],
        "images": [{"id": i + 1, "width": WIDTH, "height": HEIGHT, "file_name": name, "license": 0, "flickr_url": "",
                    "coco_url": "", "date_captured": 0} for i, name in enumerate(files)],
        "annotations": [{"id": i + 1, "iscrowd": 0, "area": 1.0, "bbox": [0, 0, 1, 1]} | row
                        for i, row in enumerate(annotations)],
    }  # fmt: skip
    path.write_text(json.dumps(sheet), encoding="utf-8")


def flat(points: list[list[float]]) -> list[float]:
    return [value for point in points for value in point]


def test_coco_polygons_and_run_lengths_in_the_order_of_ids(tmp_path: Path) -> None:
    tools = pytest.importorskip("pycocotools.mask")
    holed = expect((1, slice(10, 16), slice(12, 20)), (0, slice(12, 14), slice(14, 17)))
    columns = holed.ravel(order="F")  # counts of 0 and of 1 in turn, down the columns
    ends = np.flatnonzero(np.diff(columns)) + 1
    counts = np.diff([0, *ends, columns.size]).tolist()
    packed = tools.encode(np.asfortranarray(expect((1, slice(1, 4), slice(22, 28)))))
    photo(tmp_path / "in" / "images" / "default" / "a.png")
    photo(tmp_path / "in" / "images" / "default" / "b.png")
    coco(tmp_path / "in" / "annotations" / "instances_default.json", ["a.png", "b.png"], [
        {"image_id": 1, "category_id": 7, "segmentation": [flat(square(1, 1, 4)), flat(square(8, 1, 3))]},
        {"image_id": 1, "category_id": 3, "segmentation": {"counts": counts, "size": [HEIGHT, WIDTH]}, "iscrowd": 1},
        {"image_id": 1, "category_id": 7,
         "segmentation": {"counts": packed["counts"].decode(), "size": [HEIGHT, WIDTH]}},
    ], {7: "cat", 3: "dog", 9: "unseen"})  # fmt: skip
    done = convert(tmp_path / "in", "coco", tmp_path / "out")
    assert done.classes == ("background", "dog", "cat", "unseen") and (done.images, done.masks) == (2, 1)
    wanted = expect((2, slice(1, 5), slice(1, 5)), (2, slice(1, 4), slice(8, 11)), (2, slice(1, 4), slice(22, 28)))
    same(stored(tmp_path / "out", "a"), wanted + holed)


def test_coco_boxes_without_an_outline_are_ignored_pixels(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools.mask")
    photo(tmp_path / "elsewhere" / "a.png")
    photo(tmp_path / "elsewhere" / "unlisted.png")
    coco(tmp_path / "labels.json", ["train/a.png"], [
        {"image_id": 1, "category_id": 1, "segmentation": [flat(square(2, 2, 5))]},
        {"image_id": 1, "category_id": 1, "segmentation": [], "bbox": [4, 4, 8, 6]},
    ], {1: "cat"})  # fmt: skip
    done = convert(tmp_path / "labels.json", "coco", tmp_path / "out", images=tmp_path / "elsewhere")
    assert (done.images, done.masks) == (2, 1) and "1 annotations are boxes" in done.notes[0]
    wanted = expect((255, slice(4, 10), slice(4, 12)), (1, slice(2, 7), slice(2, 7)))
    same(stored(tmp_path / "out", "a"), wanted)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"category_id": 5, "segmentation": []}, "annotation 1 has category 5, which is not in categories"),
        ({"category_id": 1, "segmentation": {"counts": [1], "size": [3, 3]}}, r"run lengths of \[3, 3\]"),
        ({"category_id": 1, "segmentation": None, "bbox": []}, "neither segmentation nor bbox"),
    ],
)
def test_damaged_coco_annotations_are_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    pytest.importorskip("pycocotools.mask")
    photo(tmp_path / "a.png")
    coco(tmp_path / "labels.json", ["a.png"], [{"image_id": 1} | row], {1: "cat"})
    with pytest.raises(SemisegError, match=message):
        convert(tmp_path / "labels.json", "coco", tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a COCO file: expected images:, annotations: and categories:"),
        ('{"images": [{"id": 1}], "categories": []}', "not laid out as coco exports are .*file_name"),
        ('{"images": [], "categories": [{"id": NaN}]}', "is not JSON .*NaN for a number"),
    ],
)
def test_other_files_are_refused_in_a_line(tmp_path: Path, text: str, message: str) -> None:
    pytest.importorskip("pycocotools.mask")
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(SemisegError, match=message):
        convert(tmp_path / "labels.json", "coco", tmp_path / "out")
    (tmp_path / "second.json").write_text("{}")
    with pytest.raises(SemisegError, match=r"holds 2 JSON files \(labels.json, second.json\)"):
        convert(tmp_path, "coco", tmp_path / "out")


@pytest.mark.parametrize("roboflow", [True, False])
def test_training_and_validation_in_a_file_each(tmp_path: Path, roboflow: bool) -> None:
    for split, official in (("train", "train2017"), ("valid", "val2017")):
        photo(tmp_path / "in" / (split if roboflow else official) / "a.png")
        row = {"id": 1, "image_id": 1, "category_id": 3, "segmentation": [[3, 2, 7, 2, 7, 6, 3, 6]]}
        sheet = {"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 3, "name": "leaf"}],
                 "annotations": [row]}  # fmt: skip
        path = tmp_path / "in" / (f"{split}/_annotations.coco.json" if roboflow
                                  else f"annotations/instances_{official}.json")  # fmt: skip
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(sheet))
    if not roboflow:
        (path.parent / "captions_val2017.json").write_text("{}")
    done = convert(tmp_path / "in", None, tmp_path / "out")
    assert done.classes == ("background", "leaf") and done.masks == 2
    for split in ("train", "val"):
        same(stored(tmp_path / "out", f"{split}/a"), expect((1, slice(2, 6), slice(3, 7))))


def test_an_image_that_is_missing_is_not_another_of_its_name(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools.mask")
    photo(tmp_path / "in" / "a" / "1.png")
    drawn = [{"image_id": i, "category_id": 1, "segmentation": [flat(square(1, 1, 4))]} for i in (1, 2)]
    coco(tmp_path / "in" / "labels.json", ["a/1.png", "b/1.png"], drawn, {1: "cat"})
    with pytest.raises(SemisegError, match=r"a/1.png and b/1.png of the export are both found as .*--images DIR"):
        convert(tmp_path / "in", "coco", tmp_path / "out")


def test_annotations_find_their_image_by_a_number_or_its_digits_and_strangers_are_told(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools.mask")
    photo(tmp_path / "in" / "a.png")
    drawn = [{"image_id": i, "category_id": 1, "segmentation": [flat(square(1, 1, 4))]} for i in ("1", 7)]
    coco(tmp_path / "in" / "labels.json", ["a.png"], drawn, {1: "cat"})
    done = convert(tmp_path / "in", "coco", tmp_path / "out")
    same(stored(tmp_path / "out", "a"), expect((1, slice(1, 5), slice(1, 5))))
    assert done.notes == ("1 annotations left out: images: does not list their image, e.g. 7",)


def test_two_files_for_training_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools.mask")
    photo(tmp_path / "in" / "a.png")
    for name in ("instances_train2014", "instances_train2017", "instances_val2017"):
        coco(tmp_path / "in" / "annotations" / f"{name}.json", ["a.png"], [], {1: "cat"})
    with pytest.raises(SemisegError, match=r"instances_train2014\.json and instances_train2017.json, both for train"):
        convert(tmp_path / "in", "coco", tmp_path / "out")


@pytest.mark.parametrize("counts", [[5, 5], [-5, HEIGHT * WIDTH + 5], "zzzz", "55", "\x00", "o" * 30, ""])
def test_run_lengths_that_are_not_those_of_the_image_are_refused(tmp_path: Path, counts: Any) -> None:
    pytest.importorskip("pycocotools.mask")
    photo(tmp_path / "in" / "a.png")
    region = {"image_id": 1, "category_id": 1, "segmentation": {"counts": counts, "size": [HEIGHT, WIDTH]}}
    coco(tmp_path / "in" / "labels.json", ["a.png"], [region], {1: "cat"})
    with pytest.raises(SemisegError, match=r"annotation 1: its segmentation cannot be read \(.*export again"):
        convert(tmp_path / "in", "coco", tmp_path / "out")


def test_compressed_run_lengths_are_those_that_pycocotools_packs() -> None:
    tools = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(0)
    for _ in range(50):
        mask = rng.random((rng.integers(1, 90), rng.integers(1, 90))) < rng.random()
        columns = mask.ravel(order="F")
        ends = np.flatnonzero(np.diff(columns)) + 1
        lengths = np.diff([0, *ends, columns.size]).tolist()
        expected = [0, *lengths] if columns[0] else lengths
        packed = tools.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
        assert run_lengths(packed) == expected
