"""YOLO, VIA, Supervisely, QuPath and labelme's data sets become masks; what is damaged is named in one line."""

import base64
import io
import json
import zlib
from pathlib import Path
from typing import Any

import folders
import numpy as np
import pytest
from exports import HEIGHT, WIDTH, expect, photo, same, square, stored
from PIL import Image

from semiseg.data.convert import convert
from semiseg.data.datasets.folder import open_folder
from semiseg.data.layouts.recognise import recognise
from semiseg.errors import SemisegError

LEAF, FRUIT = (slice(2, 6), slice(3, 7)), (slice(10, 14), slice(12, 16))
LEAF_AT, FRUIT_AT = square(3, 2, 4), square(12, 10, 4)


def converted(source: Path, output: Path, classes: tuple[str, ...], mask: np.ndarray, **options: Any) -> Any:
    """Convert what is recognised without a word, and compare the mask of a.png."""
    done = convert(source, None, output, **options)
    assert done.classes == classes
    same(stored(output, "a"), mask)
    return done


BOTH = expect((2, *LEAF), (1, *FRUIT))  # in alphabetical order


def test_yolo_without_a_background_of_its_own(tmp_path: Path) -> None:
    done = convert(folders.yolo(tmp_path / "in", background=False), None, tmp_path / "out")
    assert done.classes == ("background", "disc", "core") and (done.images, done.masks) == (8, 5)


def test_yolo_divided_with_boxes_and_empty_files(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for split, name in (("train", "a"), ("train", "b"), ("valid", "c"), ("test", "d")):
        photo(root / split / "images" / f"{name}.png")
    line = " ".join(f"{x / WIDTH} {y / HEIGHT}" for x, y in LEAF_AT)
    (root / "train" / "labels").mkdir()
    (root / "valid" / "labels").mkdir()
    (root / "train" / "labels" / "a.txt").write_text(
        f"1 {line}\n0 {14 / WIDTH} {12 / HEIGHT} {4 / WIDTH} {4 / HEIGHT}\n"
    )
    (root / "valid" / "labels" / "c.txt").write_text("")
    (root / "data.yaml").write_text("train: ../train/images\nnames: [fruit, leaf]\n")
    done = convert(root, "yolo", tmp_path / "out")
    assert done.classes == ("fruit", "leaf") and (done.images, done.masks) == (3, 1)
    same(stored(tmp_path / "out", "train/a"), expect((1, *LEAF), (255, *FRUIT)))
    assert any("1 labels are boxes" in note for note in done.notes)
    assert any("1 images of test/ left out" in note for note in done.notes)
    (root / "train" / "labels" / "b.txt").write_text("0 0.1 nought 0.2 0.3 0.4 0.5\n")
    with pytest.raises(SemisegError, match=r"b\.txt, line 1 is no outline"):
        convert(root, "yolo", tmp_path / "again")
    (root / "train" / "labels" / "b.txt").write_text(f"7 {line}\n")
    with pytest.raises(SemisegError, match=r"the class 7, and data\.yaml names 2"):
        convert(root, "yolo", tmp_path / "again")


def region(label: str, kind: str, **shape: Any) -> dict[str, Any]:
    return {"shape_attributes": {"name": kind, **shape}, "region_attributes": {"id": "7", "class": label}}


def outline(label: str, corners: list[list[float]]) -> dict[str, Any]:
    xs, ys = zip(*corners, strict=True)
    return region(label, "polygon", all_points_x=list(xs), all_points_y=list(ys))


@pytest.mark.parametrize("project", [True, False])
def test_via(tmp_path: Path, project: bool) -> None:
    for name in "ab":
        photo(tmp_path / "in" / f"{name}.png")
    fruit = region("fruit", "rect", x=12, y=10, width=4, height=4)
    rows: dict[str, Any] = {
        "a.png1": {
            "filename": "a.png",
            "regions": [outline("leaf", LEAF_AT), fruit, region("dot", "point", cx=1, cy=1)],
        },
        "b.png1": {"filename": "b.png", "regions": {}},
    }
    (tmp_path / "in" / "via.json").write_text(json.dumps({"_via_img_metadata": rows} if project else rows))
    done = converted(tmp_path / "in", tmp_path / "out", ("background", "fruit", "leaf"), BOTH)
    assert (done.images, done.masks) == (2, 1) and "1 points and lines left out" in done.notes[0]
    rows["a.png1"]["regions"] = [{"shape_attributes": {"name": "circle"}, "region_attributes": {}}]
    (tmp_path / "in" / "via.json").write_text(json.dumps(rows))
    with pytest.raises(SemisegError, match=r"a\.png: the region .* cannot be read .*it has no class"):
        convert(tmp_path / "in", "via", tmp_path / "again")


def test_via_circles_ellipses_and_check_boxes(tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    round_ = region("leaf", "circle", cx=8, cy=8, r=4)
    oval = region("", "ellipse", cx=20, cy=10, rx=6, ry=3, theta=np.pi / 2)
    oval["region_attributes"] = {"type": {"fruit": True, "leaf": False}}
    (tmp_path / "via.json").write_text(json.dumps({"a": {"filename": "a.png", "regions": [round_, oval]}}))
    convert(tmp_path / "via.json", "via", tmp_path / "out")
    mask = stored(tmp_path / "out", "a")
    assert abs((mask == 2).sum() - np.pi * 16) < 4 and abs((mask == 1).sum() - np.pi * 18) < 4
    assert (mask[5:15, 20] == 1).all() and mask[10, 25] == 0, "turned by a quarter"


def bitmap(mask: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return base64.b64encode(zlib.compress(file.getvalue())).decode()


def supervisely(root: Path, objects: list[dict[str, Any]]) -> Path:
    photo(root / "ds0" / "img" / "a.png")
    photo(root / "ds0" / "img" / "b.png")
    (root / "ds0" / "ann").mkdir()
    sheet = {"size": {"height": HEIGHT, "width": WIDTH}, "objects": objects}
    (root / "ds0" / "ann" / "a.png.json").write_text(json.dumps(sheet))
    classes = [{"title": "leaf", "shape": "bitmap", "color": "#00FF00"}, {"title": "fruit", "shape": "polygon"}]
    (root / "meta.json").write_text(json.dumps({"classes": classes}))
    return root


def test_supervisely_bitmaps_and_polygons_with_holes(tmp_path: Path) -> None:
    leaf = {
        "classTitle": "leaf",
        "geometryType": "bitmap",
        "bitmap": {"data": bitmap(np.ones((4, 4), bool)), "origin": [3, 2]},
    }
    fruit = {
        "classTitle": "fruit",
        "geometryType": "polygon",
        "points": {"exterior": FRUIT_AT, "interior": [square(13, 11, 2)]},
    }
    dot = {"classTitle": "leaf", "geometryType": "point", "points": {"exterior": [[1, 1]], "interior": []}}
    root = supervisely(tmp_path / "in", [leaf, fruit, dot])
    mask = expect((1, *LEAF), (2, *FRUIT), (0, slice(11, 13), slice(13, 15)))
    done = converted(root, tmp_path / "out", ("background", "leaf", "fruit"), mask)
    assert (done.images, done.masks) == (2, 1) and "1 points and lines" in done.notes[0]
    assert open_folder(tmp_path / "out", "val").info.colours[1] == (0, 255, 0)


@pytest.mark.parametrize("data", ["not base64!", base64.b64encode(b"no zlib").decode(),
                                  base64.b64encode(zlib.compress(b"no picture")).decode(),
                                  base64.b64encode(zlib.compress(bytes(2**26 + 1))).decode()])  # fmt: skip
def test_damaged_bitmaps_of_supervisely_are_named(tmp_path: Path, data: str) -> None:
    leaf = {"classTitle": "leaf", "geometryType": "bitmap", "bitmap": {"data": data, "origin": [3, 2]}}
    with pytest.raises(SemisegError, match=r"a\.png\.json: the object 'leaf' cannot be read"):
        convert(supervisely(tmp_path / "in", [leaf]), "supervisely", tmp_path / "out")


def feature(name: str | None, geometry: dict[str, Any], colour: list[int] | None = None) -> dict[str, Any]:
    said = {} if name is None else {"classification": {"name": name} | ({"color": colour} if colour else {})}
    return {"type": "Feature", "geometry": geometry, "properties": {"objectType": "annotation", **said}}


def ring(corners: list[list[float]]) -> list[list[float]]:
    return [*corners, corners[0]]


@pytest.mark.parametrize("called", ["a.geojson", "a.png.geojson"])
@pytest.mark.parametrize("collected", [True, False])
def test_qupath(tmp_path: Path, called: str, collected: bool) -> None:
    for name in "ab":
        photo(tmp_path / "in" / f"{name}.png")
    rows = [
        feature("leaf", {"type": "Polygon", "coordinates": [ring(LEAF_AT)]}, [200, 0, 0]),
        feature("fruit", {"type": "MultiPolygon", "coordinates": [[ring(FRUIT_AT), ring(square(13, 11, 2))],
                                                                 [ring(square(24, 2, 3))]]}),
        feature("Ignore*", {"type": "Polygon", "coordinates": [ring(square(0, 16, 3))]}),
        feature("leaf", {"type": "Point", "coordinates": [1, 1]}),
    ]  # fmt: skip
    (tmp_path / "in" / called).write_text(
        json.dumps({"type": "FeatureCollection", "features": rows} if collected else rows)
    )
    mask = expect((2, *LEAF), (1, *FRUIT), (0, slice(11, 13), slice(13, 15)), (1, slice(2, 5), slice(24, 27)),
                  (255, slice(16, 19), slice(0, 3)))  # fmt: skip
    done = converted(tmp_path / "in", tmp_path / "out", ("background", "fruit", "leaf"), mask)
    assert (done.images, done.masks) == (2, 1)
    assert open_folder(tmp_path / "out", "val").info.colours[2] == (200, 0, 0)
    rows[0]["geometry"]["coordinates"] = [[[1, "x"], [2, 2], [3, 3]]]
    (tmp_path / "in" / called).write_text(json.dumps(rows))
    with pytest.raises(SemisegError, match=r"geojson: a geometry cannot be read"):
        convert(tmp_path / "in", "qupath", tmp_path / "again")


def test_folders_of_labelme_json_to_dataset_number_their_labels_by_themselves(tmp_path: Path) -> None:
    for name, labels in (("a", ["_background_", "leaf", "fruit"]), ("b", ["_background_", "fruit"])):
        folder = tmp_path / "in" / f"{name}_json"
        photo(folder / "img.png")
        values = expect((1, *LEAF), (2, *FRUIT)) if name == "a" else expect((1, *LEAF))
        Image.fromarray(values).save(folder / "label.png")
        (folder / "label_names.txt").write_text("\n".join(labels) + "\n")
    converted(tmp_path / "in", tmp_path / "out", ("background", "fruit", "leaf"), BOTH)
    same(stored(tmp_path / "out", "b"), expect((1, *LEAF)))
    (tmp_path / "in" / "b_json" / "img.png").unlink()
    with pytest.raises(SemisegError, match=r"b_json lacks img\.png"):
        convert(tmp_path / "in", "labelme_dataset", tmp_path / "again")


@pytest.mark.parametrize("form", ["via", "qupath", "supervisely", "yolo", "labelme_dataset", "instances"])
def test_links_of_other_tools_do_not_leave_their_folder(tmp_path: Path, form: str) -> None:
    photo(tmp_path / "secret" / "private.png")
    root = tmp_path / "in"
    images = root / {"supervisely": "ds0/img", "labelme_dataset": "a_json", "instances": "images"}.get(form, ".")
    images.mkdir(parents=True)
    (images / ("img.png" if form == "labelme_dataset" else "a.png")).symlink_to(tmp_path / "secret" / "private.png")
    if form == "via":
        (root / "via.json").write_text(json.dumps({"a": {"filename": "a.png", "regions": [outline("leaf", LEAF_AT)]}}))
    elif form == "qupath":
        rows = [feature("leaf", {"type": "Polygon", "coordinates": [ring(LEAF_AT)]})]
        (root / "a.geojson").write_text(json.dumps(rows))
    elif form == "supervisely":
        (root / "ds0" / "ann").mkdir()
        (root / "ds0" / "ann" / "a.png.json").write_text(
            json.dumps({"size": {"height": 20, "width": 30}, "objects": []})
        )
    elif form == "yolo":
        (root / "a.txt").write_text("0 0.1 0.1 0.2 0.1 0.2 0.2\n")
    else:
        mask = images / "label.png" if form == "labelme_dataset" else root / "masks" / "a.png"
        mask.parent.mkdir(exist_ok=True)
        Image.fromarray(expect((1, *LEAF))).save(mask)
        (images / "label_names.txt").write_text("_background_\nleaf\n")
    with pytest.raises(SemisegError, match="leads out of"):
        convert(root, form, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_json_is_no_export(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text("[1, 2]")
    (tmp_path / "c.json").write_text(json.dumps({"features": "none", "images": {}, "shapes": None}))
    assert recognise(tmp_path) == []


def test_a_rectangle_of_supervisely_holds_both_its_corners(tmp_path: Path) -> None:
    for corners in ([[2, 3], [5, 8]], [[5, 8], [2, 3]]):
        root = tmp_path / str(corners)
        photo(root / "img" / "a.png")
        (root / "ann").mkdir()
        item = {"classTitle": "leaf", "geometryType": "rectangle", "points": {"exterior": corners, "interior": []}}
        sheet = {"size": {"height": HEIGHT, "width": WIDTH}, "objects": [item]}
        (root / "ann" / "a.png.json").write_text(json.dumps(sheet))
        convert(root, "supervisely", tmp_path / f"{corners}_out")
        same(stored(tmp_path / f"{corners}_out", "a"), expect((1, slice(3, 9), slice(2, 6))))


@pytest.mark.parametrize("stem", ["train", "labels", "readme"])
def test_an_image_may_be_called_like_a_list_of_yolo(tmp_path: Path, stem: str) -> None:
    photo(tmp_path / "in" / "images" / f"{stem}.png")
    line = " ".join(f"{x / WIDTH} {y / HEIGHT}" for x, y in LEAF_AT)
    (tmp_path / "in" / "labels").mkdir()
    (tmp_path / "in" / "labels" / f"{stem}.txt").write_text(f"1 {line}\n")
    (tmp_path / "in" / "labels.txt").write_text("leaf\nfruit\n")
    assert convert(tmp_path / "in", "yolo", tmp_path / "out").masks == 1


def test_a_point_of_via_needs_no_class(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png")
    xs, ys = zip(*LEAF_AT, strict=True)
    regions = [
        {"shape_attributes": {"name": "polygon", "all_points_x": xs, "all_points_y": ys},
         "region_attributes": {"class": "leaf"}},
        {"shape_attributes": {"name": "point", "cx": 1, "cy": 1}, "region_attributes": {}},
    ]  # fmt: skip
    (tmp_path / "in" / "via.json").write_text(json.dumps({"a.png1": {"filename": "a.png", "regions": regions}}))
    done = convert(tmp_path / "in", "via", tmp_path / "out")
    same(stored(tmp_path / "out", "a"), expect((1, *LEAF)))
    assert "1 points and lines left out" in done.notes[0]


def test_masks_that_number_objects_are_no_jpeg(tmp_path: Path) -> None:
    photo(tmp_path / "in" / "images" / "a.png")
    (tmp_path / "in" / "masks").mkdir()
    Image.fromarray(expect((1, *LEAF), (2, *FRUIT))).save(tmp_path / "in" / "masks" / "a.jpg")
    with pytest.raises(SemisegError, match=r"a.jpg is in a format that changes numbers"):
        convert(tmp_path / "in", "instances", tmp_path / "out")
