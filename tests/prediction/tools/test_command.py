"""``semiseg predict --for``: the files, what is said of them, and what is refused before anything is predicted."""

import json
from pathlib import Path

import pytest
from commands import call
from conftest import tiny, write_picture

import semiseg
from semiseg.data.base import DatasetInfo, default_colours
from semiseg.errors import UsageError
from semiseg.prediction.tools import Wanted, check_tool, convert_words

FILES = {
    "labelstudio": ["labelstudio.json", "labelstudio.xml"], "cvat": ["cvat.zip"], "coco": ["coco.json"],
    "yolo": ["yolo/data.yaml", "yolo/train.txt", "yolo/labels/train/photo0.txt"],
    "geojson": ["geojson/photo0.geojson", "geojson/photo1.geojson"],
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("tools")
    for i in range(4):
        write_picture(base / "photos", f"photo{i}", i, mask=True)
    semiseg.train(
        tiny(base / "photos", base / "run", training__iterations=2, training__validate_every=2), progress=False
    )
    return base / "run"


@pytest.mark.parametrize("tool", list(FILES))
def test_files_of_every_tool(tool: str, run: Path, tmp_path: Path) -> None:
    photos, out = run.parent / "photos" / "images", tmp_path / "out"
    code, text, error = call("predict", run, photos, "--output", out, "--for", tool)
    assert code == 0, error
    assert all((out / name).is_file() for name in FILES[tool]) and (out / "masks" / "photo0.png").is_file()
    assert FILES[tool][0].partition("/")[0] in text
    if tool != "yolo" and tool != "geojson":
        assert "semiseg data convert" in text and f"--images {photos}" in text
    for path in ("masks", "overlays", "shares.csv"):
        (out / path).rename(tmp_path / path)
    code, _, error = call("predict", run, photos, "--output", out, "--for", tool)
    assert code == 1 and f"{out / FILES[tool][0]} exists; choose another folder or --overwrite it" in error
    assert not (out / "masks").exists()
    assert call("predict", run, photos, "--output", out, "--for", tool, "--overwrite")[0] == 0


def test_the_classes_of_the_run_are_those_of_the_file(run: Path, tmp_path: Path) -> None:
    call("predict", run, run.parent / "photos" / "images", "--output", tmp_path, "--for", "coco", "--shapes", "masks")
    sheet = json.loads((tmp_path / "coco.json").read_text())
    assert [(c["id"], c["name"]) for c in sheet["categories"]] == [(k, f"class_{k}") for k in range(3)]
    assert sheet["annotations"][0]["segmentation"]["size"] == [64, 64]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--for", "labelstuido"], "did you mean 'labelstudio'"),
        (["--for", "cvat", "--shapes", "polygons"], "cvat takes masks"),
        (["--for", "coco", "--image-url", "https://x.org/"], "belongs to --for labelstudio, not to coco"),
        (["--shapes", "masks"], "--shapes and --image-url belong to --for"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, run: Path, tmp_path: Path) -> None:
    photos = run.parent / "photos" / "images"
    code, _, error = call("predict", run, photos, "--output", tmp_path / "out", *words)
    assert code == 2 and message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_videos_alone_and_names_that_a_label_map_cannot_hold(tmp_path: Path) -> None:
    info = DatasetInfo("odd", ("background", "a:b"), default_colours(2))
    with pytest.raises(UsageError, match=r"cannot hold the class 'a:b'"):
        check_tool(Wanted("cvat"), info, [tmp_path / "a.png"], tmp_path, False)
    with pytest.raises(UsageError, match="only videos are given"):
        check_tool(Wanted("coco"), info, [tmp_path / "a.mp4"], tmp_path, False)


def test_the_way_back_numbers_the_classes_as_the_network_does(tmp_path: Path) -> None:
    cells = DatasetInfo("cells", ("background", "leaf"), default_colours(2))
    street = DatasetInfo("street", ("road", "sky"), default_colours(2))
    images = [tmp_path / "a.png", tmp_path / "b" / "c.png"]
    words = convert_words("labelstudio", cells, images)
    assert words[3:] == ["export.json", "--from", "labelstudio", "--images", str(tmp_path), "--classes",
                         "background,leaf", "--empty", "background", "--output", "corrected"]  # fmt: skip
    assert convert_words("coco", street, images)[-4:] == ["--background", "ignore", "--output", "corrected"]
    assert "--others" in convert_words("cvat", street, images) and "--others" not in convert_words(
        "cvat", cells, images
    )
    assert "--images . " in " ".join(convert_words("coco", cells, [Path("a.png"), Path("b/c.png")]))
    assert str(tmp_path.anchor) in convert_words("coco", cells, [Path("a.png"), tmp_path / "c.png"])[7]
    comma = DatasetInfo("comma", ("background", "a,b"), default_colours(2))
    assert convert_words("coco", comma, images) == []
