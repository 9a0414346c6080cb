"""GTA5 in miniature, in the official arrangement: palette labels, and the kinds that circulate beside them."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from miniatures import GTA5_IDS as IDS
from miniatures import palette_file, write_cityscapes, write_gta5
from PIL import Image
from typer.testing import CliRunner

from semiseg.cli import app
from semiseg.config.data import DataConfig
from semiseg.data.check.dataset import check_data
from semiseg.data.datasets.gta5 import open_gta5, read_gta5_label
from semiseg.data.datasets.street_classes import COLOURS, GTA5_ID_COLOURS
from semiseg.data.run_data import open_run_data
from semiseg.errors import SemisegError, UsageError

CLASSES = [[255] * 7, [0, 1, 255, 255, 2, 3, 4], [255, 255, 255, 5, 255, 6, 7], [8, 9, 10, 11, 12, 13, 14],
           [15, 255, 255, 16, 17, 18, 255]]  # fmt: skip


@pytest.fixture
def miniature(tmp_path: Path) -> Path:
    return write_gta5(tmp_path / "gta5")


def test_palette_labels_hold_ids(miniature: Path) -> None:
    before = {path: path.read_bytes() for path in miniature.rglob("*.png")}
    train = open_gta5(miniature, "train")
    assert train.names == ["00001", "00002", "00003"] and train.info.colours == COLOURS
    label = train.label(0)
    assert label.dtype == np.uint8 and label.tolist() == CLASSES  # licence plates, id 34, among the ignored
    assert train.image(2)[0, 0].tolist() == [3, 3, 3] and train.has_label(2) and train.remarks == ()
    assert {path: path.read_bytes() for path in miniature.rglob("*.png")} == before


def test_grey_ids(tmp_path: Path) -> None:
    Image.fromarray(IDS).save(tmp_path / "a.png")
    assert read_gta5_label(tmp_path / "a.png").tolist() == CLASSES


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_are_decoded(tmp_path: Path, mode: str) -> None:
    picture = np.array(GTA5_ID_COLOURS, np.uint8)[IDS]
    Image.fromarray(picture).convert(mode).save(tmp_path / "a.png")
    expected = np.array(CLASSES)
    expected[2, 4], expected[4, 6] = 5, 13  # pole group and licence plate have the colours of pole and car
    assert read_gta5_label(tmp_path / "a.png").tolist() == expected.tolist()


def test_colours_of_no_class_are_named(tmp_path: Path) -> None:
    picture = np.array(GTA5_ID_COLOURS, np.uint8)[IDS]
    picture[3, 2] = 1, 2, 3
    Image.fromarray(picture).save(tmp_path / "00007.png")
    with pytest.raises(SemisegError, match=r"00007\.png: colour \(1, 2, 3\) at row 3, column 2 belongs to no class"):
        read_gta5_label(tmp_path / "00007.png")


def test_a_palette_in_another_order_counts_by_its_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    palette_file(path, np.array([[0, 1, 2, 3]], np.uint8), [(70, 130, 180), (128, 64, 128), (20, 20, 20), (0, 0, 142)])
    assert read_gta5_label(path).tolist() == [[10, 0, 255, 13]]  # an optimiser keeps only the colours in use
    shuffled = np.random.default_rng(0).permutation(35)
    palette_file(path, np.argsort(shuffled).astype(np.uint8)[IDS], [GTA5_ID_COLOURS[k] for k in shuffled])
    assert (read_gta5_label(path) == np.array(CLASSES)).sum() == 33  # all but pole group and licence plate, as in RGB


def test_a_palette_of_other_colours_holds_ids(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    palette_file(path, np.array([[7, 23, 26]], np.uint8), [(5 * k, 255 - k, 9) for k in range(35)])
    assert read_gta5_label(path).tolist() == [[0, 10, 13]]
    some_known = [(70, 70, 70) if k == 7 else (5 * k, 255 - k, 9) for k in range(35)]
    palette_file(path, np.array([[7, 23, 26]], np.uint8), some_known)
    assert read_gta5_label(path).tolist() == [[0, 10, 13]]
    palette_file(path, np.array([[7, 35]], np.uint8), [(5 * k, 255 - k, 9) for k in range(36)])
    with pytest.raises(SemisegError, match="holds values 35; expected the label ids 0…34"):
        read_gta5_label(path)


def test_labels_of_another_size_are_resized_with_nearest_and_told_once(miniature: Path) -> None:
    for number in (2, 3):
        small = np.array([[7, 23], [26, 33]], np.uint8)
        palette_file(miniature / "labels" / f"{number:05d}.png", small, list(GTA5_ID_COLOURS))
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(miniature / "images" / f"{number:05d}.png")
    train = open_gta5(miniature, "train")
    with pytest.warns(UserWarning, match=r"00002\.png has 2x2 pixels, its image 4x6: .* resized with nearest"):
        label = train.label(1)
    assert label.tolist() == [[0] * 3 + [10] * 3] * 2 + [[13] * 3 + [18] * 3] * 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert train.label(2).shape == (4, 6) and train.label(0).tolist() == CLASSES
    assert len(train.remarks) == 1


def test_images_without_a_label_are_left_out(miniature: Path) -> None:
    (miniature / "labels" / "00002.png").unlink()
    (miniature / "labels" / "00003_labelTrainIds.png").write_bytes(b"another tool's")
    with pytest.warns(UserWarning, match="1 of 3 images have no label file: left out"):
        assert open_gta5(miniature, "train").names == ["00001", "00003"]


@pytest.mark.parametrize("given", [".", "gta5/images", "gta5/labels"])
def test_a_root_at_another_level_is_recognised(miniature: Path, given: str) -> None:
    with pytest.raises(SemisegError) as caught:
        open_gta5(miniature.parent / given, "train")
    message = str(caught.value)
    assert message.startswith(f"no images/ of GTA5 in {miniature.parent / given}: expected images/ and labels/")
    assert message.endswith(f"; give data.source.root={miniature}") and "\n" not in message


def test_parts_that_are_missing(miniature: Path) -> None:
    (miniature / "labels").rename(miniature / "annotations")
    with pytest.raises(SemisegError, match=r"no labels/ of GTA5 .* found: annotations, images; unpack the archives"):
        open_gta5(miniature, "train")
    (miniature / "labels").mkdir()
    (miniature / "labels" / "01_labels").mkdir()
    images, labels = r"images/ holds: 00001\.png, 00002\.png, 00003\.png", "labels/ holds: 01_labels"
    with (
        pytest.warns(UserWarning, match="3 of 3 images have no label file"),
        pytest.raises(SemisegError, match=f"no GTA5 image with a label .*{images}; {labels}"),
    ):
        open_gta5(miniature, "train")


def test_misuse(miniature: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no split 'val': it is a source domain; .*data\.source\.dataset=gta5 .*target"
    ):
        open_gta5(miniature, "val")
    with pytest.raises(UsageError, match=r"data\.source\.root is missing"):
        open_gta5(None, "train")
    with pytest.raises(UsageError, match=r"no option 'count'; leave data\.source\.options empty"):
        open_gta5(miniature, "train", count=3)


def test_it_is_the_source_of_cityscapes_and_checked_with_it(tmp_path: Path) -> None:
    cityscapes = write_cityscapes(tmp_path / "cityscapes", (4, 17))
    gta5 = write_gta5(tmp_path / "gta5", 2)
    palette_file(gta5 / "labels" / "00001.png", np.full((2, 2), 7, np.uint8), list(GTA5_ID_COLOURS))
    source = {"dataset": "gta5", "root": str(gta5)}
    config = DataConfig(dataset="cityscapes", root=str(cityscapes), labelled=2, source=source)
    data = open_run_data(config)
    assert data.source is not None and data.source.info.classes == data.train.info.classes
    Image.fromarray(np.full((2, 2, 3), 9, np.uint8)).save(gta5 / "labels" / "00002.png")
    with pytest.warns(UserWarning, match="resized with nearest"):
        found = check_data(data.train, data.val, data.labelled_names, (4, 4), source=data.source).findings
    told = {(f.level, f.where): f.message for f in found if f.where.startswith("source")}
    assert (
        "colour (9, 9, 9)" in told["error", "source/00002"] and "2x2 pixels, its image 5x7" in told["warning", "source"]
    )
    assert set(told) == {("error", "source/00002"), ("warning", "source")}
    with pytest.raises(UsageError, match="source domain"):
        open_run_data(DataConfig(dataset="gta5", root=str(gta5)))


def test_the_command_that_checks_data_reads_the_source_domain(tmp_path: Path) -> None:
    cityscapes, gta5 = write_cityscapes(tmp_path / "cityscapes", (4, 17)), write_gta5(tmp_path / "gta5", 2)
    (gta5 / "labels" / "00002.png").write_bytes(b"junk")
    path = tmp_path / "adapt.yaml"
    path.write_text(f"data: {{dataset: cityscapes, root: {cityscapes}, source: {{dataset: gta5, root: {gta5}}}}}")
    done = CliRunner().invoke(app, ["data", "check", str(path), "data.crop=4", "--json"])
    assert done.exit_code == 1
    errors = [finding for finding in json.loads(done.stdout)["findings"] if finding["level"] == "error"]
    assert [finding["where"] for finding in errors] == ["source/00002"]
