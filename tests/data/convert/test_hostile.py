"""Exports that somebody else wrote: nothing of another folder is copied, and nothing hangs or ends the program."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import labelme, photo, shape, square
from PIL import Image

from semiseg.data.convert import convert
from semiseg.errors import SemisegError

CORNERS = square(1, 1, 5)
FLAT = [value for corner in CORNERS for value in corner]


def as_labelme(folder: Path, image: str) -> Path:
    labelme(folder / "a.json", [shape("leaf", CORNERS)], image)
    return folder


def as_coco(folder: Path, image: str) -> Path:
    row = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [FLAT]}
    sheet = {"images": [{"id": 1, "file_name": image}], "categories": [{"id": 1, "name": "leaf"}], "annotations": [row]}
    (folder / "a.json").write_text(json.dumps(sheet))
    return folder / "a.json"


def as_label_studio(folder: Path, image: str) -> Path:
    value = {"points": CORNERS, "polygonlabels": ["leaf"]}
    task = {"id": 1, "data": {"image": image}, "annotations": [{"result": [{"value": value}]}]}
    (folder / "a.json").write_text(json.dumps([task]))
    return folder


def as_colour(folder: Path, image: str) -> Path:
    (folder / "masks").mkdir()
    colours = np.zeros((20, 30, 3), np.uint8)
    colours[:5] = 255
    Image.fromarray(colours).save(folder / "masks" / f"{Path(image).stem}.png")
    return folder


WRITERS = {"labelme": as_labelme, "coco": as_coco, "labelstudio": as_label_studio, "colour": as_colour}


def refused(source: Path, form: str, output: Path, **options: Any) -> str:
    with pytest.raises(SemisegError) as caught:
        convert(source, form, output, **options)
    assert not output.exists() and len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    photo(tmp_path / "secret" / "private.png")
    (tmp_path / "secret" / "key.txt").write_text("key")
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.mark.parametrize("image", ["../secret/private.png", "{root}/secret/private.png", "..\\secret\\private.png",
                                   "../secret/key.txt", "/etc/passwd", "sub/../../secret/private.png"])  # fmt: skip
@pytest.mark.parametrize("form", ["labelme", "coco", "labelstudio"])
def test_paths_of_an_export_do_not_leave_its_folder(tmp_path: Path, export: Path, form: str, image: str) -> None:
    source = WRITERS[form](export, image.format(root=tmp_path))
    assert "--images DIR" in refused(source, form, tmp_path / "out")


@pytest.mark.parametrize("form", list(WRITERS))
@pytest.mark.parametrize("named", [True, False])
def test_links_of_an_export_do_not_leave_its_folder(tmp_path: Path, export: Path, form: str, named: bool) -> None:
    images = export / "images" if form == "colour" else export
    photo(images / "b.png")
    (images / "a.png").symlink_to(tmp_path / "secret" / "private.png")
    if not named and form in ("coco", "labelstudio"):
        photo(images / "named" / "b.png")  # other pictures come along only from --images
    source = WRITERS[form](export, "a.png" if named else "b.png")
    options = {} if named or form == "colour" else {"images": images}
    assert "leads out of" in refused(source, form, tmp_path / "out", **options)


@pytest.mark.parametrize("linked", ["images", "masks"])
def test_a_linked_folder_of_an_export_is_no_part_of_it(tmp_path: Path, export: Path, linked: str) -> None:
    photo(export / "images" / "private.png")
    as_colour(export, "private.png")
    (export / linked).rename(tmp_path / "elsewhere")
    (export / linked).symlink_to(tmp_path / "elsewhere")
    assert "leads out of" in refused(export, "colour", tmp_path / "out")


def test_the_folder_that_the_user_names_may_lie_anywhere(tmp_path: Path, export: Path) -> None:
    as_labelme(export, "../secret/private.png")
    assert convert(export, "labelme", tmp_path / "out", images=tmp_path / "secret").masks == 1
    (tmp_path / "link").symlink_to(export)
    photo(export / "a.png")
    as_labelme(export, "a.png")
    assert convert(tmp_path / "link", "labelme", tmp_path / "out2").masks == 1


def test_what_is_no_image_is_not_copied(tmp_path: Path, export: Path) -> None:
    photo(export / "a.png")
    as_labelme(export, "a.png")
    (export / "b.png").write_text("a secret under another name")
    assert "b.png cannot be read as an image" in refused(export, "labelme", tmp_path / "out")


def polygon_of(points: Any, kind: str = "polygon") -> Callable[[Path], tuple[Path, str]]:
    def write(folder: Path) -> tuple[Path, str]:
        labelme(folder / "a.json", [shape("leaf", points, kind)], "a.png")
        return folder, "labelme"

    return write


def studio_of(**value: Any) -> Callable[[Path], tuple[Path, str]]:
    def write(folder: Path) -> tuple[Path, str]:
        item = {"value": {"labels": ["leaf"], **value}, "original_width": 30, "original_height": 20}
        task = {"id": 1, "data": {"image": "a.png"}, "annotations": [{"result": [item]}]}
        (folder / "a.json").write_text(json.dumps([task]))
        return folder, "labelstudio"

    return write


def coco_of(**row: Any) -> Callable[[Path], tuple[Path, str]]:
    def write(folder: Path) -> tuple[Path, str]:
        path = as_coco(folder, "a.png")
        sheet = json.loads(path.read_text())
        sheet["annotations"] = [{"id": 1, "image_id": 1, "category_id": 1, **row}]
        path.write_text(json.dumps(sheet))
        return path, "coco"

    return write


def raw(text: str) -> Callable[[Path], tuple[Path, str]]:
    def write(folder: Path) -> tuple[Path, str]:
        (folder / "a.json").write_text(text)
        return folder, "labelme"

    return write


HOSTILE = {
    "not a number": polygon_of([[0, 0], [float("nan"), 1], [2, 2]]),
    "infinite": raw('{"shapes": [{"label": "a", "points": [[0, 0], [1e999, 1], [2, 2]]}], "imagePath": "a.png"}'),
    "too many digits": polygon_of([[0, 0], [10**400, 1], [2, 2]]),
    "true": polygon_of([[0, 0], [True, 1], [2, 2]]),
    "no points": polygon_of([]),
    "circle of three": polygon_of([[0, 0], [1, 1], [2, 2]], "circle"),
    "mask of nothing": polygon_of([[0, 0]], "mask"),
    "deep": raw("[" * 100_000),
    "shapes are a number": raw('{"shapes": 3, "imagePath": "a.png"}'),
    "ellipse not finite": studio_of(x=1, y=1, radiusX="inf", radiusY=2),
    "rotation": studio_of(x=1, y=1, width=3, height=2, rotation="nan"),
    "brush is a number": studio_of(rle=10**10),
    "brush of words": studio_of(rle=["a"]),
    "far outline": coco_of(segmentation=[[0, 0, 1e9, 0, 1e9, 1e9]]),
    "long outline": coco_of(segmentation=[[0, 0, 9e5, 0] * 5]),
    "outline of words": coco_of(segmentation=[["a"] * 6]),
    "run lengths": coco_of(segmentation={"size": [20, 30], "counts": [-5, 1000]}),
    "run lengths too long": coco_of(segmentation={"size": [20, 30], "counts": "oooooooooo"}),
    "box": coco_of(bbox=[0, 0, None, 3]),
    "no image": coco_of(image_id={}, segmentation=[FLAT]),
}


@pytest.mark.parametrize("case", list(HOSTILE))
def test_hostile_exports_are_one_line(tmp_path: Path, export: Path, case: str) -> None:
    photo(export / "a.png")
    refused(*HOSTILE[case](export), tmp_path / "out")


@pytest.mark.parametrize(
    "write",
    [
        polygon_of([[10, 10], [1e308, 10]], "circle"),
        polygon_of([[-1e308, -1e308], [1e308, -1e308], [1e308, 1e308], [-1e308, 1e308]]),
        studio_of(x=50, y=50, radiusX=1e308, radiusY=1e308),
        studio_of(x=-1e308, y=-1e308, width=1.7e308, height=1.7e308, rotation=45),
    ],
)
def test_shapes_beyond_all_pictures_end(
    tmp_path: Path, export: Path, write: Callable[[Path], tuple[Path, str]]
) -> None:
    photo(export / "a.png")
    assert convert(*write(export), tmp_path / "out").masks == 1


def test_an_image_in_postscript_is_not_run(tmp_path: Path, export: Path) -> None:
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 30 20\n%%EndComments\n"
    labelme(export / "a.json", [shape("leaf", CORNERS)], "gone.png", base64.b64encode(script).decode())
    assert "cannot identify image" in refused(export, "labelme", tmp_path / "out")
