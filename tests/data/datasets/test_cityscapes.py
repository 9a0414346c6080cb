"""Cityscapes in miniature, in the official arrangement with the files that the archives hold beside the masks."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from miniatures import write_cityscapes
from PIL import Image

from semiseg.config.data import DataConfig
from semiseg.data.datasets.cityscapes import open_cityscapes
from semiseg.data.run_data import open_run_data
from semiseg.errors import SemisegError, UsageError


@pytest.fixture
def miniature(tmp_path: Path) -> Path:
    return write_cityscapes(tmp_path / "cityscapes")


def test_ids_become_classes_in_memory(miniature: Path) -> None:
    before = {path: path.read_bytes() for path in miniature.rglob("*.png")}
    train = open_cityscapes(miniature, "train")
    assert train.names == ["aachen/aachen_000000_000019", "aachen/aachen_000001_000019", "zurich/zurich_000001_000019"]
    assert train.info.num_classes == 19 and train.image(2).shape == (2, 17, 3)
    label = train.label(2)
    assert label is not None and label.dtype == np.uint8
    assert label[0].tolist() == [255] * 7 + [0, 1, 255, 255, 2, 3, 4, 255, 255, 255]
    assert label[1].tolist() == [5, 255, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255, 255, 16, 17, 18]
    assert {path: path.read_bytes() for path in miniature.rglob("*.png")} == before
    assert open_cityscapes(miniature, "val").names == ["frankfurt/frankfurt_000000_000294"]


def test_licence_plates_are_ignored(miniature: Path) -> None:
    path = miniature / "gtFine" / "val" / "frankfurt" / "frankfurt_000000_000294_gtFine_labelIds.png"
    Image.fromarray(np.array([[255] * 17, [7] * 17], np.uint8)).save(path)  # id -1, as eight bits hold it
    label = open_cityscapes(miniature, "val").label(0)
    assert label is not None and label.tolist() == [[255] * 17, [0] * 17]


def test_train_ids_are_preferred_where_they_are(miniature: Path) -> None:
    folder = miniature / "gtFine" / "train" / "zurich"
    path = folder / "zurich_000001_000019_gtFine_labelTrainIds.png"
    Image.fromarray(np.array([[0, 18, *[255] * 15]] * 2, np.uint8)).save(path)
    train = open_cityscapes(miniature, "train")
    label = train.label(2)
    assert label is not None and label.tolist() == [[0, 18, *[255] * 15]] * 2
    assert np.count_nonzero(train.label(0) == 0) == 1  # from the ids, as before
    (folder / "zurich_000001_000019_gtFine_labelIds.png").unlink()
    assert open_cityscapes(miniature, "train").has_label(2)
    Image.fromarray(np.array([[0, 19]], np.uint8)).save(path)
    with pytest.raises(SemisegError, match=r"labelTrainIds\.png holds values 19; expected train ids 0…18 and 255"):
        open_cityscapes(miniature, "train").label(2)


def test_archives_unpacked_into_folders_of_their_own(miniature: Path) -> None:
    for kind in ("leftImg8bit", "gtFine"):
        (miniature / f"{kind}_trainvaltest").mkdir()
        (miniature / kind).rename(miniature / f"{kind}_trainvaltest" / kind)
    train = open_cityscapes(miniature, "train")
    assert len(train) == 3 and train.has_label(0)
    with pytest.raises(SemisegError, match=f"no gtFine/ of Cityscapes in .*; give data.root={miniature}$"):
        open_cityscapes(miniature / "leftImg8bit_trainvaltest", "train")


def test_images_without_a_mask_are_unlabelled(miniature: Path) -> None:
    (miniature / "gtFine" / "train" / "zurich" / "zurich_000001_000019_gtFine_labelIds.png").unlink()
    train = open_cityscapes(miniature, "train")
    assert [train.has_label(i) for i in range(3)] == [True, True, False] and train.label(2) is None
    shutil.rmtree(miniature / "gtFine" / "train")
    train = open_cityscapes(miniature, "train")
    assert len(train) == 3 and not any(train.has_label(i) for i in range(3))


def test_the_blank_masks_of_test_do_not_count(miniature: Path) -> None:
    test = open_cityscapes(miniature, "test")
    assert len(test) == 1 and not test.has_label(0) and test.label(0) is None
    shutil.rmtree(miniature / "gtFine")
    assert len(open_cityscapes(miniature, "test")) == 1


@pytest.mark.parametrize("given", ["", "cityscapes/leftImg8bit", "cityscapes/leftImg8bit/train",
                                   "cityscapes/leftImg8bit/train/aachen", "cityscapes/gtFine"])  # fmt: skip
def test_a_root_at_another_level_is_recognised(miniature: Path, given: str) -> None:
    with pytest.raises(SemisegError) as caught:
        open_cityscapes(miniature.parent / given, "train")
    message = str(caught.value)
    assert message.startswith(
        f"no leftImg8bit/ of Cityscapes in {miniature.parent / given}: expected leftImg8bit/{{train"
    )
    assert message.endswith(f"; give data.root={miniature}") and "\n" not in message
    assert given or "found: cityscapes;" in message


def test_a_folder_with_something_else(miniature: Path) -> None:
    elsewhere = miniature.parent / "photos"
    (elsewhere / "images").mkdir(parents=True)
    with pytest.raises(SemisegError, match=r"found: images; unpack leftImg8bit_trainvaltest\.zip there"):
        open_cityscapes(elsewhere, "train")
    with pytest.raises(SemisegError, match="found: no such folder; unpack"):
        open_cityscapes(miniature.parent / "nowhere", "train")


def test_parts_that_are_missing(miniature: Path) -> None:
    for path in (miniature / "gtFine" / "val" / "frankfurt").glob("*Ids.png"):
        path.unlink()
    with pytest.raises(SemisegError, match=r"no Cityscapes masks in .*val: expected CITY/\*_gtFine_labelIds\.png; "
                       r"frankfurt/ holds: .*_gtFine_color\.png, .*polygons\.json"):  # fmt: skip
        open_cityscapes(miniature, "val")
    shutil.rmtree(miniature / "leftImg8bit" / "val")
    with pytest.raises(SemisegError, match=r"no Cityscapes images in .*val: expected CITY/\*_leftImg8bit\.png; "
                       r".*leftImg8bit holds: test, train; val/ holds: no such folder"):  # fmt: skip
        open_cityscapes(miniature, "val")
    (miniature / "gtFine").rename(miniature / "gtCoarse")
    with pytest.raises(SemisegError, match=r"no gtFine/ .* found: README, gtCoarse, leftImg8bit; unpack gtFine_train"):
        open_cityscapes(miniature, "train")


def test_misuse() -> None:
    with pytest.raises(UsageError, match="no split 'training'; choose one of train, val, test"):
        open_cityscapes("somewhere", "training")
    with pytest.raises(UsageError, match=r"data\.root is missing"):
        open_cityscapes(None, "train")
    with pytest.raises(UsageError, match="no option 'coarse'"):
        open_cityscapes("somewhere", "train", coarse=True)


def test_masks_of_another_kind_are_named(miniature: Path) -> None:
    path = miniature / "gtFine" / "val" / "frankfurt" / "frankfurt_000000_000294_gtFine_labelIds.png"
    Image.fromarray(np.full((2, 17), 34, np.uint8)).save(path)
    with pytest.raises(SemisegError, match=r"frankfurt_000000_000294_gtFine_labelIds\.png holds values 34; expected"):
        open_cityscapes(miniature, "val").label(0)
    Image.fromarray(np.zeros((2, 17, 3), np.uint8)).save(path)
    with pytest.raises(SemisegError, match="is a colour image; expected the label ids"):
        open_cityscapes(miniature, "val").label(0)


def test_a_run_opens_it_with_a_published_list(miniature: Path, tmp_path: Path) -> None:
    path = tmp_path / "labelled.txt"
    path.write_text(
        "leftImg8bit/train/zurich/zurich_000001_000019_leftImg8bit.png "
        "gtFine/train/zurich/zurich_000001_000019_gtFine_labelTrainIds.png\naachen_000000_000019_leftImg8bit.png\n"
    )
    data = open_run_data(DataConfig(dataset="cityscapes", root=str(miniature), labelled_list=str(path)))
    assert data.labelled_names == ["zurich/zurich_000001_000019", "aachen/aachen_000000_000019"]
    assert data.unlabelled == [1] and len(data.val) == 1
