"""VOC 2012 in miniature, in the official arrangement: palette masks of its own, grey masks of SBD."""

from pathlib import Path

import numpy as np
import pytest
from miniatures import VOC_MASK as MASK
from miniatures import VOC_SBD as SBD
from miniatures import VOC_TRAIN as TRAIN
from miniatures import VOC_VAL as VAL
from miniatures import write_voc, write_voc_lists
from PIL import Image

from semiseg.config.data import DataConfig
from semiseg.data.datasets.voc import CLASSES, open_voc, voc_colour
from semiseg.data.run_data import open_run_data
from semiseg.errors import SemisegError, UsageError


@pytest.fixture
def miniature(tmp_path: Path) -> Path:
    return write_voc(tmp_path / "data")


@pytest.fixture
def base(miniature: Path) -> Path:
    return miniature / "VOCdevkit" / "VOC2012"


def test_the_list_is_derived_from_the_two_folders(miniature: Path) -> None:
    train, val = open_voc(miniature, "train"), open_voc(miniature, "val")
    assert train.names == [*TRAIN, *SBD] and val.names == VAL and train.remarks == ()
    assert all(train.has_label(i) for i in range(4))
    official, sbd, truth = train.label(0), train.label(2), val.label(0)
    assert official is not None and official.dtype == np.uint8 and official.tolist() == MASK.tolist()
    assert sbd is not None and sbd.tolist() == [[2, 1, 20], [255, 15, 0]]
    assert truth is not None and truth.tolist() == MASK.tolist()
    assert train.image(3).shape == (2, 3, 3)


def test_classes_and_palette() -> None:
    assert len(CLASSES) == 21 and CLASSES[15] == "person"
    colours = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 4: (0, 0, 128), 8: (64, 0, 0), 15: (192, 128, 128),
               20: (0, 64, 128), 255: (224, 224, 192)}  # fmt: skip
    assert {k: voc_colour(k) for k in colours} == colours


@pytest.mark.parametrize("name", ["train_aug", "trainaug", "../SegmentationAug/train_aug"])
def test_the_users_list_comes_first(miniature: Path, base: Path, name: str) -> None:
    (base / "ImageSets" / "SegmentationAug").mkdir()
    write_voc_lists(base, **{name: [SBD[1], TRAIN[0]]})
    assert open_voc(miniature, "train").names == [TRAIN[0], SBD[1]]


def test_lists_with_paths_and_lists_by_name(miniature: Path, base: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.lst"
    path.write_text("".join(f"/JPEGImages/{n}.jpg /SegmentationClassAug/{n}.png\n" for n in (SBD[0], TRAIN[1])))
    assert open_voc(miniature, "train", list=str(path)).names == [TRAIN[1], SBD[0]]
    assert open_voc(miniature, "train", list="train.txt").names == TRAIN
    assert open_voc(miniature, "val", list=str(path)).names == VAL
    with pytest.raises(UsageError, match=r"trainval\.txt lists 1 validation images, e\.g\. 2007_000033; take them out"):
        open_voc(miniature, "train", list="trainval.txt")
    with pytest.raises(UsageError, match=r"no list nine\.txt, nor one of that name in .*ImageSets/Segmentation"):
        open_voc(miniature, "train", list="nine.txt")
    path.write_text("2007_000032\n2006_000001\n")
    with pytest.raises(UsageError, match=r"mine\.lst: 1 names are not in the data set, e\.g\. 2006_000001"):
        open_voc(miniature, "train", list=str(path))


@pytest.mark.parametrize("given", ["data", "data/VOCdevkit", "data/VOCdevkit/VOC2012", "."])
def test_roots_above(miniature: Path, given: str) -> None:
    assert len(open_voc(miniature.parent / given, "train")) == 4


def test_roots_below_and_elsewhere(miniature: Path, base: Path) -> None:
    with pytest.raises(SemisegError) as caught:
        open_voc(base / "JPEGImages", "train")
    message = str(caught.value)
    assert message.startswith(
        f"no JPEGImages/ of VOC 2012 in {base / 'JPEGImages'}: expected VOC2012/ with JPEGImages/"
    )
    assert message.endswith(f"; give data.root={base}") and "\n" not in message
    elsewhere = miniature.parent / "a" / "b" / "c" / "photos"
    elsewhere.mkdir(parents=True)
    with pytest.raises(SemisegError, match=r"found: nothing; unpack VOCtrainval_11-May-2012\.tar there"):
        open_voc(elsewhere, "train")


def test_parts_that_are_missing(miniature: Path, base: Path) -> None:
    (base / "SegmentationClassAug").rename(base / "Aug")
    with pytest.warns(UserWarning, match="2 training images; the paper's 10 582 need SBD's masks"):
        train = open_voc(miniature, "train")
    assert train.names == TRAIN and "no SegmentationClassAug/" in train.remarks[0]
    write_voc_lists(base, train_aug=TRAIN + SBD)
    with pytest.warns(UserWarning, match="2 of 4 listed images have no mask"):
        train = open_voc(miniature, "train")
    assert [train.has_label(i) for i in range(4)] == [True, True, False, False] and train.label(2) is None
    (base / "SegmentationClass").rename(base / "Class")
    with pytest.raises(SemisegError, match=r"no masks of VOC 2012 .* expected JPEGImages/.* found: Annotations, Aug, "):
        open_voc(miniature, "train")
    (base / "ImageSets" / "Segmentation" / "val.txt").unlink()
    (base / "Class").rename(base / "SegmentationClass")
    with pytest.raises(
        SemisegError, match=r"no .*val\.txt: .*/Segmentation holds: train\.txt, train_aug\.txt, trainval"
    ):
        open_voc(miniature, "val")


def test_validation_masks_alone_are_no_training_set(miniature: Path, base: Path) -> None:
    for name in (*TRAIN, *SBD):
        for folder in ("SegmentationClass", "SegmentationClassAug"):
            (base / folder / f"{name}.png").unlink(missing_ok=True)
    with pytest.raises(SemisegError, match=r"no training masks of VOC 2012 .* every mask is in val\.txt"):
        open_voc(miniature, "train")


def test_masks_of_another_kind_are_named(miniature: Path, base: Path) -> None:
    path = base / "SegmentationClassAug" / f"{SBD[0]}.png"
    Image.fromarray(np.full((2, 3), 21, np.uint8)).save(path)
    with pytest.raises(SemisegError, match=r"2008_000008\.png holds values 21; expected the classes 0…20 and 255"):
        open_voc(miniature, "train").label(2)
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(path)
    with pytest.raises(SemisegError, match=r"2008_000008\.png is a colour image"):
        open_voc(miniature, "train").label(2)


def test_misuse(miniature: Path) -> None:
    with pytest.raises(UsageError, match="no split 'test'; choose train or val"):
        open_voc(miniature, "test")
    with pytest.raises(UsageError, match=r"data\.root is missing"):
        open_voc(None, "train")
    with pytest.raises(UsageError, match="no option 'year'; there is list"):
        open_voc(miniature, "train", year=2007)


def test_a_run_opens_it_with_a_seeded_split(miniature: Path) -> None:
    data = open_run_data(DataConfig(dataset="voc", root=str(miniature), labelled="1/4", options={"list": "auto"}))
    assert len(data.labelled) == 1 and len(data.unlabelled) == 3 and len(data.val) == 1
