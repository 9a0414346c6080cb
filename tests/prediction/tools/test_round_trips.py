"""Mask → file for the tool → the project's reader, or the published format → mask: the same mask, pixel by pixel."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools.coco import COCO

from semiseg.data.base import DatasetInfo, default_colours
from semiseg.data.convert import FORMATS, convert
from semiseg.data.convert.brush import decode_brush
from semiseg.data.convert.regions import polygon
from semiseg.prediction.tools import TOOLS, Wanted, convert_words, write_predicted
from semiseg.prediction.tools.brush import encode_brush

CELLS = DatasetInfo("cells", ("background", "leaf & stem", "eye"), ((0, 0, 0), (250, 0, 0), (0, 0, 0)))
STREETS = DatasetInfo("streets", ("road", "car", "sky"), default_colours(3))
SIZES = ((37, 53), (20, 20), (64, 48))


def blobs(size: tuple[int, int], seed: int) -> np.ndarray:
    """Three classes in smooth patches with holes, and some single pixels."""
    rng = np.random.default_rng(seed)
    waves = np.fft.rfft2(rng.normal(size=size))
    waves[6:-6], waves[:, 6:] = 0, 0
    smooth = np.fft.irfft2(waves, size)
    mask = np.digitize(smooth, np.quantile(smooth, [0.4, 0.7])).astype(np.uint8)
    noise = rng.random(size)
    mask[noise < 0.02], mask[noise > 0.98] = 1, 2
    return mask


@pytest.fixture
def masks(tmp_path: Path) -> dict[str, np.ndarray]:
    """Images in ``photos/images`` and their masks as ``semiseg predict`` leaves them in ``out``; the third is empty."""
    found = {f"photo {k}": blobs(size, k) for k, size in enumerate(SIZES)}
    found["photo 2"][:] = 0
    for folder in ("photos/images", "out/masks"):
        (tmp_path / folder).mkdir(parents=True)
    lines = ["image,a,b,c"]
    for name, mask in found.items():
        Image.fromarray(np.zeros((*mask.shape, 3), np.uint8)).save(tmp_path / "photos" / "images" / f"{name}.png")
        Image.fromarray(mask).save(tmp_path / "out" / "masks" / f"{name}.png")
        lines.append(f"{tmp_path}/photos/images/{name}.png,0,0,0")
    (tmp_path / "out" / "shares.csv").write_text("\n".join(lines) + "\n")
    return found


def written(tmp_path: Path, info: DatasetInfo, tool: str, shapes: str | None = None) -> Path:
    images = sorted((tmp_path / "photos" / "images").iterdir())
    told = write_predicted(Wanted(tool, shapes), info, images, tmp_path / "out", "runs/one")
    assert told
    return tmp_path / "out"


def read_back(tmp_path: Path, info: DatasetInfo, tool: str, export: Path) -> dict[str, np.ndarray]:
    """By the very command that is told."""
    words = convert_words(tool, info, [tmp_path / "photos" / "images" / "x.png"])
    assert words[:3] == ["semiseg", "data", "convert"]
    given = dict(zip(words[4:-1:2], words[5::2], strict=True))
    convert(
        export, given["--from"], tmp_path / "back", images=given.get("--images"), classes=given["--classes"].split(","),
        background=given.get("--background", "background"), empty=given.get("--empty", "unlabelled"),
        others=given.get("--others", "error"),
    )  # fmt: skip
    sheet = yaml.safe_load((tmp_path / "back" / "dataset.yaml").read_text())
    assert tuple(sheet["classes"]) == info.classes
    return {p.stem: np.array(Image.open(p)) for p in sorted((tmp_path / "back" / "masks").rglob("*.png"))}


def accepted(path: Path) -> Path:
    """The tasks as Label Studio exports them once somebody has submitted every prediction as it was."""
    tasks = json.loads(path.read_text(encoding="utf-8"))
    for number, task in enumerate(tasks, start=1):
        (prediction,) = task.pop("predictions")
        assert prediction["model_version"] == "runs/one"
        result = prediction["result"]
        assert len({item["id"] for item in result}) == len(result)
        task |= {"id": number, "annotations": [{"id": number, "result": result, "was_cancelled": False}]}
    export = path.with_name("export.json")
    export.write_text(json.dumps(tasks))
    return export


def unzipped(path: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(path.with_name("unzipped"))
    return path.with_name("unzipped")


def with_images(root: Path) -> Path:
    """The folder as YOLO trains on it."""
    shutil.copytree(root.parents[1] / "photos" / "images", root / "images" / "train")
    return root


WAYS = [
    ("labelstudio", "masks", lambda out: accepted(out / "labelstudio.json")),
    ("labelstudio", "polygons", lambda out: accepted(out / "labelstudio.json")),
    ("cvat", None, lambda out: unzipped(out / "cvat.zip")),
    ("coco", "polygons", lambda out: out / "coco.json"),
    ("coco", "masks", lambda out: out / "coco.json"),
    ("yolo", None, lambda out: with_images(out / "yolo")),
    ("geojson", None, lambda out: out / "geojson"),
]
READ = [way for way in WAYS if TOOLS[way[0]].reader in FORMATS]


@pytest.mark.parametrize(("tool", "shapes", "export"), READ, ids=lambda way: str(way) if isinstance(way, str) else "")
@pytest.mark.parametrize("info", [CELLS, STREETS], ids=lambda info: info.name)
def test_there_and_back(tool: str, shapes: str | None, export, info: DatasetInfo, tmp_path: Path, masks) -> None:
    back = read_back(tmp_path, info, tool, export(written(tmp_path, info, tool, shapes)))
    assert back.keys() == masks.keys()
    for name, mask in masks.items():
        assert np.array_equal(back[name], mask), name


@pytest.mark.parametrize("shapes", ["polygons", "masks"])
def test_pycocotools_reads_it(shapes: str, tmp_path: Path, masks: dict[str, np.ndarray]) -> None:
    found = COCO(str(written(tmp_path, CELLS, "coco", shapes) / "coco.json"))
    assert {c["name"]: c["id"] for c in found.loadCats(found.getCatIds())} == {"leaf & stem": 1, "eye": 2}
    for image in found.loadImgs(found.getImgIds()):
        mask, times = masks[Path(image["file_name"]).stem], np.zeros((image["height"], image["width"]), int)
        drawn = np.zeros_like(times)
        for row in found.loadAnns(found.getAnnIds(imgIds=image["id"], iscrowd=None)):
            pixels = found.annToMask(row).astype(bool)
            drawn[pixels], times[pixels] = row["category_id"], times[pixels] + 1
            rows, columns = np.nonzero(pixels)
            assert row["area"] == pixels.sum()
            assert row["bbox"] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert np.array_equal(drawn, mask) and times.max() <= 1


def test_yolo_polygons_by_the_published_format(tmp_path: Path, masks: dict[str, np.ndarray]) -> None:
    root = written(tmp_path, CELLS, "yolo") / "yolo"
    sheet = yaml.safe_load((root / "data.yaml").read_text())
    assert sheet == {"path": ".", "train": "train.txt", "names": {0: "leaf & stem", 1: "eye"}}
    assert (root / "train.txt").read_text().splitlines() == [f"images/train/{name}.png" for name in masks]
    for name, mask in masks.items():
        drawn = np.zeros_like(mask)
        for line in (root / "labels" / "train" / f"{name}.txt").read_text().splitlines():
            number, *values = line.split()
            points = np.array(values, float).reshape(-1, 2)
            assert points.min() >= 0 and points.max() <= 1 and len(points) >= 3
            patch = polygon(np.round(points * mask.shape[::-1], 4), mask.shape)
            patch.window(drawn)[patch.mask] = CELLS.classes.index(sheet["names"][int(number)])
        assert np.array_equal(drawn, mask)


def test_geojson_has_holes_and_closed_rings(tmp_path: Path, masks: dict[str, np.ndarray]) -> None:
    root, holes = written(tmp_path, CELLS, "geojson") / "geojson", 0
    for name, mask in masks.items():
        drawn = np.zeros_like(mask)
        sheet = json.loads((root / f"{name}.geojson").read_text())
        assert sheet["type"] == "FeatureCollection"
        for feature in sheet["features"]:
            assert feature["type"] == "Feature" and feature["geometry"]["type"] == "Polygon"
            kind = feature["properties"]["classification"]
            assert feature["properties"]["objectType"] == "annotation" and len(kind["color"]) == 3
            outer, *inner = feature["geometry"]["coordinates"]
            assert all(ring[0] == ring[-1] for ring in (outer, *inner))
            holes += len(inner)
            inside = np.zeros(mask.shape, bool)
            for ring, value in ((outer, True), *((ring, False) for ring in inner)):
                patch = polygon(ring[:-1], mask.shape)
                patch.window(inside)[patch.mask] = value
            assert not drawn[inside].any()
            drawn[inside] = CELLS.classes.index(kind["name"])
        assert np.array_equal(drawn, mask)
    assert holes


def test_cvat_objects_leave_the_background_out(tmp_path: Path, masks: dict[str, np.ndarray]) -> None:
    folder = unzipped(written(tmp_path, CELLS, "cvat") / "cvat.zip")
    lines = (folder / "labelmap.txt").read_text().splitlines()
    assert lines[:3] == ["# label:color_rgb:parts:actions", "background:0,0,0::", "leaf & stem:250,0,0::"]
    assert lines[3].startswith("eye:") and not lines[3].startswith("eye:0,0,0:")  # black is the background's
    assert (folder / "ImageSets" / "Segmentation" / "default.txt").read_text().splitlines() == list(masks)
    for name, mask in masks.items():
        objects = np.array(Image.open(folder / "SegmentationObject" / f"{name}.png"))
        assert objects.shape == (*mask.shape, 3) and np.array_equal(objects.any(axis=2), mask > 0)


def test_label_studio_tasks_and_interface(tmp_path: Path, masks: dict[str, np.ndarray]) -> None:
    out = written(tmp_path, CELLS, "labelstudio")
    tasks = json.loads((out / "labelstudio.json").read_text())
    urls = [task["data"]["image"] for task in tasks]
    assert urls[0] == "/data/local-files/?d=images/photo%200.png" and len(urls) == 3
    first = tasks[0]["predictions"][0]["result"][0]
    assert {k: first[k] for k in ("type", "from_name", "to_name", "original_width", "original_height")} == {
        "type": "brushlabels", "from_name": "label", "to_name": "image", "original_width": 53, "original_height": 37,
    }  # fmt: skip
    assert first["value"]["format"] == "rle" and first["value"]["brushlabels"] == ["leaf & stem"]
    interface = (out / "labelstudio.xml").read_text()
    assert '<BrushLabels name="label" toName="image">' in interface and 'value="$image"' in interface
    assert '<Label value="leaf &amp; stem" background="#fa0000"/>' in interface and "background=" in interface
    images = sorted((tmp_path / "photos" / "images").iterdir())
    write_predicted(Wanted("labelstudio", image_url="https://x.org/"), CELLS, images, out, "runs/one")
    assert (
        json.loads((out / "labelstudio.json").read_text())[1]["data"]["image"] == "https://x.org/images/photo%201.png"
    )


def test_images_that_were_skipped_are_left_out(tmp_path: Path, masks: dict[str, np.ndarray]) -> None:
    table = tmp_path / "out" / "shares.csv"
    table.write_text("".join(line for line in table.read_text().splitlines(keepends=True) if "photo 1" not in line))
    sheet = json.loads((written(tmp_path, CELLS, "coco") / "coco.json").read_text())
    assert [row["file_name"] for row in sheet["images"]] == ["photo 0.png", "photo 2.png"]
    shutil.copy(table, table.with_suffix(".bak"))
    table.write_text("image,a,b,c\n")
    images = sorted((tmp_path / "photos" / "images").iterdir())
    assert write_predicted(Wanted("coco"), CELLS, images, tmp_path / "out", "runs/one") == []


def test_a_brush_is_what_label_studios_own_converter_writes() -> None:
    painted = np.zeros((6, 8), bool)
    painted[1:5, 2:7] = True
    painted[2:4, 4] = False
    theirs = [
        0, 0, 0, 192, 57, 27, 254, 39, 0, 194, 127, 246, 192, 39, 255, 140, 2, 127, 251, 96, 19, 255, 198, 1, 63, 253,
        176, 12, 39, 255, 136, 192, 0,
    ]  # fmt: skip
    mine = encode_brush(painted)
    assert np.array_equal(decode_brush(mine, 8, 6), painted) and np.array_equal(decode_brush(theirs, 8, 6), painted)
    assert mine[:6] == theirs[:6]  # number of values, bits of a value, widths of counts
    large = np.ones((300, 300), bool)  # longer than the longest run
    assert np.array_equal(decode_brush(encode_brush(large), 300, 300), large)


def test_every_tool_has_a_way_here() -> None:
    assert {tool for tool, _, _ in WAYS} == TOOLS.keys()
