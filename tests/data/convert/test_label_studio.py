"""Label Studio's exports become masks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import HEIGHT, WIDTH, expect, photo, same, square, stored

from semiseg.data.convert import convert
from semiseg.data.convert.brush import decode_brush
from semiseg.errors import SemisegError

# Rows 1-4, columns 2-6 of 8x6 pixels without rows 2-3 of column 4, as label-studio-converter encodes a brush.
BRUSH = [
    0, 0, 0, 192, 57, 27, 254, 39, 0, 194, 127, 246, 192, 39, 255, 140, 2, 127, 251, 96, 19, 255, 198, 1, 63, 253, 176,
    12, 39, 255, 136, 192, 0,
]  # fmt: skip


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
        task(2, "/data/local-files/?d=sub%5C0000aaaa-local.png", annotation(
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


def test_label_studio_json_min_has_a_record_for_every_annotation_and_the_last_counts(tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    photo(tmp_path / "b.png")

    def record(number: int, name: str, side: float, updated: str) -> dict[str, Any]:
        drawn = {"points": per_cent(square(0, 0, side)), "closed": True, "polygonlabels": ["Leaf"],
                 "original_width": WIDTH, "original_height": HEIGHT}  # fmt: skip
        return {"image": f"/data/upload/1/{name}", "id": number, "label": [drawn], "updated_at": updated}

    rows = [record(1, "a.png", 3, "2026-01-01"), record(2, "b.png", 5, "2026-01-01"),
            record(1, "a.png", 4, "2026-02-01"), record(1, "a.png", 6, "2026-01-15")]  # fmt: skip
    (tmp_path / "export.json").write_text(json.dumps(rows))
    done = convert(tmp_path / "export.json", "labelstudio", tmp_path / "out")
    assert (done.images, done.masks) == (2, 2) and "1 tasks have several annotations" in done.notes[0]
    same(stored(tmp_path / "out", "a"), expect((1, slice(0, 4), slice(0, 4))))
    same(stored(tmp_path / "out", "b"), expect((1, slice(0, 5), slice(0, 5))))
