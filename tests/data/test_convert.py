"""Exports in each tool's own form become index masks; pixels are checked against masks made another way."""

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from semiseg.cli import app
from semiseg.data.convert import Converted, convert
from semiseg.data.convert.brush import decode_brush
from semiseg.data.convert.regions import ellipse, polygon, rectangle
from semiseg.data.folder import open_folder
from semiseg.errors import SemisegError, UsageError

HEIGHT, WIDTH = 20, 30
# Rows 1-4, columns 2-6 of 8x6 pixels without rows 2-3 of column 4, as label-studio-converter encodes a brush.
BRUSH = [
    0, 0, 0, 192, 57, 27, 254, 39, 0, 194, 127, 246, 192, 39, 255, 140, 2, 127, 251, 96, 19, 255, 198, 1, 63, 253, 176,
    12, 39, 255, 136, 192, 0,
]  # fmt: skip


def photo(path: Path, size: tuple[int, int] = (HEIGHT, WIDTH), value: int = 80) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)
    return path


def stored(root: Path, stem: str) -> np.ndarray:
    with Image.open(root / "masks" / f"{stem}.png") as mask:
        assert mask.mode == "P"
        return np.array(mask)


def expect(*areas: tuple[int, slice, slice], blank: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    mask = np.full(size, blank, np.uint8)
    for value, rows, columns in areas:
        mask[rows, columns] = value
    return mask


def same(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_array_equal(found, wanted)


# ---------------------------------------------------------------------------------------------------- labelme
def shape(
    label: str, points: Sequence[Sequence[float]], kind: str = "polygon", mask: str | None = None
) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "description": "", "shape_type": kind, "flags": {},
            "mask": mask}  # fmt: skip


def labelme(path: Path, shapes: list[dict[str, Any]], image: str | None = None, data: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": image or f"{path.stem}.png",
             "imageData": data, "imageHeight": HEIGHT, "imageWidth": WIDTH}  # fmt: skip
    path.write_text(json.dumps(sheet))


def square(x: float, y: float, side: float) -> list[list[float]]:
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]


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


# ------------------------------------------------------------------------------------------------------- COCO
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
    path.write_text(json.dumps(sheet))


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


# ----------------------------------------------------------------------------------------------- Label Studio
def region(kind: str, label: str, value: dict[str, Any], size: tuple[int, int] = (HEIGHT, WIDTH)) -> dict[str, Any]:
    found = {"original_width": size[1], "original_height": size[0], "image_rotation": 0, "id": "Dx_aB91ISN",
             "from_name": "label", "to_name": "image", "type": kind, "origin": "manual"}  # fmt: skip
    return found | {"value": value | {kind: [label]}}


def task(number: int, image: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    return {"id": number, "annotations": list(annotations), "file_upload": image.rpartition("/")[2], "drafts": [],
            "predictions": [], "data": {"image": image}, "meta": {}, "project": 1}  # fmt: skip


def annotation(*result: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = {"id": 1, "completed_by": 1, "result": list(result), "was_cancelled": False, "ground_truth": False,
            "created_at": "2026-01-01T10:00:00Z", "updated_at": "2026-01-01T10:00:00Z", "lead_time": 4.2}  # fmt: skip
    return made | more


def per_cent(points: list[list[float]]) -> list[list[float]]:
    return [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in points]


def test_label_studio_polygons_rectangles_ellipses_and_upload_prefixes(tmp_path: Path) -> None:
    photo(tmp_path / "photos" / "a b.png")
    photo(tmp_path / "photos" / "sub" / "local.png")
    photo(tmp_path / "photos" / "never.png")
    tasks = [
        task(1, "/data/upload/1/1a2b3c4d-a%20b.png", annotation(
            region("polygonlabels", "Leaf", {"points": per_cent(square(1, 2, 5)), "closed": True}),
            region("rectanglelabels", "Fruit", {"x": 40, "y": 50, "width": 20, "height": 25, "rotation": 0}),
            region("ellipselabels", "Stone", {"x": 80, "y": 50, "radiusX": 10, "radiusY": 20, "rotation": 0}),
            region("keypointlabels", "Leaf", {"x": 1, "y": 1, "width": 0.5}),
            {"id": "c", "type": "choices", "value": {"choices": ["sunny"]}, "from_name": "c", "to_name": "image"},
        )),
        task(2, "/data/local-files/?d=sub/local.png", annotation(
            region("rectanglelabels", "Leaf", {"x": 50, "y": 0, "width": 20, "height": 20, "rotation": 90}))),
        task(3, "/data/upload/1/99999999-never.png"),
    ]  # fmt: skip
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    done = convert(tmp_path / "export.json", "labelstudio", tmp_path / "out", images=tmp_path / "photos")
    assert done.classes == ("background", "Fruit", "Leaf", "Stone") and (done.images, done.masks) == (3, 2)
    assert done.notes == ("1 key points and other regions left out: they have no area",)
    wanted = expect((2, slice(2, 7), slice(1, 6)), (1, slice(10, 15), slice(12, 18)))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    wanted[((columns + 0.5 - 24) / 3) ** 2 + ((rows + 0.5 - 10) / 4) ** 2 <= 1] = 3
    same(stored(tmp_path / "out", "a b"), wanted)
    # 6x4 pixels turned by 90 degrees about (15, 0): 4 to the left, 6 down.
    same(stored(tmp_path / "out", "local"), expect((2, slice(0, 6), slice(11, 15))))


def test_label_studio_brush_with_a_hole(tmp_path: Path) -> None:
    wanted = expect((1, slice(1, 5), slice(2, 7)), (0, slice(2, 4), slice(4, 5)), size=(6, 8))
    same(decode_brush(BRUSH, 8, 6), wanted > 0)
    photo(tmp_path / "1a2b3c4d-a.png", (6, 8))
    brush = region("brushlabels", "Leaf", {"format": "rle", "rle": BRUSH}, (6, 8))
    (tmp_path / "export.json").write_text(json.dumps([task(1, "/data/upload/1/1a2b3c4d-a.png", annotation(brush))]))
    convert(tmp_path, "labelstudio", tmp_path / "out")
    same(stored(tmp_path / "out", "a"), wanted)
    for rle, message in ((BRUSH[:-4], "cut off"), ([0, 0, 0, 8, *BRUSH[4:]], "8 values for 8x6 pixels")):
        with pytest.raises(ValueError, match=message):
            decode_brush(rle, 8, 6)
    photo(tmp_path / "1a2b3c4d-a.png", (12, 16))
    with pytest.raises(SemisegError, match=r"task 1: brush of 8x6 pixels, image of 16x12; .*--images DIR"):
        convert(tmp_path, "labelstudio", tmp_path / "again")


def test_label_studio_json_min_and_the_generic_labels_tag(tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    polygon_ = {"points": per_cent(square(3, 3, 4)), "closed": True, "polygonlabels": ["Leaf"],
                "original_width": WIDTH, "original_height": HEIGHT}  # fmt: skip
    rows = [{"image": "/data/upload/1/0000aaaa-a.png", "id": 1, "label": [polygon_], "annotator": 1, "annotation_id": 1,
             "created_at": "2026-01-01T10:00:00Z", "updated_at": "2026-01-01T10:00:00Z", "lead_time": 1.0}]  # fmt: skip
    (tmp_path / "export.json").write_text(json.dumps(rows))
    convert(tmp_path / "export.json", "labelstudio", tmp_path / "min")
    wanted = expect((1, slice(3, 7), slice(3, 7)))
    same(stored(tmp_path / "min", "a"), wanted)
    pair = [region("labels", "Leaf", {"points": per_cent(square(3, 3, 4))}),
            {**region("polygon", "", {}), "value": {"points": per_cent(square(3, 3, 4))}}]  # fmt: skip
    (tmp_path / "export.json").write_text(json.dumps([task(1, "s3://bucket/deep/a.png", annotation(*pair))]))
    convert(tmp_path / "export.json", "labelstudio", tmp_path / "generic")
    same(stored(tmp_path / "generic", "a"), wanted)


def test_label_studio_takes_ground_truth_then_the_last_and_no_cancelled_annotation(tmp_path: Path) -> None:
    def drawn(side: float, **more: Any) -> dict[str, Any]:
        return annotation(region("polygonlabels", "Leaf", {"points": per_cent(square(0, 0, side))}), **more)

    for name in "abcd":
        photo(tmp_path / f"{name}.png")
    tasks = [
        task(1, "/data/upload/1/a.png", drawn(3, updated_at="2026-03-01"), drawn(4, updated_at="2026-04-01")),
        task(2, "/data/upload/1/b.png", drawn(3, ground_truth=True), drawn(4, updated_at="2026-04-01")),
        task(3, "/data/upload/1/c.png", drawn(3, was_cancelled=True)),
        task(4, "/data/upload/1/d.png", annotation()),
    ]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    done = convert(tmp_path / "export.json", "labelstudio", tmp_path / "out", empty="background")
    assert done.masks == 3 and "2 tasks have several annotations" in done.notes[0]
    same(stored(tmp_path / "out", "a"), expect((1, slice(0, 4), slice(0, 4))))
    same(stored(tmp_path / "out", "b"), expect((1, slice(0, 3), slice(0, 3))))
    same(stored(tmp_path / "out", "d"), expect())
    assert not (tmp_path / "out" / "masks" / "c.png").exists()


# ----------------------------------------------------------------------------------------------------- colour
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


# ------------------------------------------------------------------------------------------------ every format
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
    one(tmp_path)
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
        ({"format": "voc"}, "--from 'voc': choose labelme, coco, labelstudio or colour"),
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


def test_neighbours_share_no_pixel_and_turned_shapes_have_their_area() -> None:
    for edge in np.arange(0, 40, 0.25):
        count = np.zeros((40, 40), int)
        for points in ([[0, 0], [edge, 0], [edge, 40], [0, 40]],
                       [[edge, 0], [40, 0], [40, 40], [edge, 40]]):  # fmt: skip
            patch = polygon(points, (40, 40))
            patch.window(count)[patch.mask] += 1
        assert (count == 1).all(), edge
    turned = polygon(rectangle(30, 10, 40, 20, 30), (100, 100)).mask
    assert turned.sum() == pytest.approx(800, rel=0.02)
    round_ = polygon(ellipse(50, 50, 40, 20, 45), (100, 100)).mask
    assert round_.sum() == pytest.approx(np.pi * 800, rel=0.02)
    assert not polygon([(-9, -9), (-1, -9), (-1, -1)], (20, 20)).mask.size


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
