import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semiseg.data.datasets.camvid import open_camvid
from semiseg.errors import SemisegError, UsageError


def real() -> Path | None:
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    for base in filter(None, (os.environ.get("SEMISEG_DATA"), beside)):
        if (Path(base) / "camvid" / "train").is_dir():
            return Path(base) / "camvid"
    return None


@pytest.fixture
def miniature(tmp_path: Path) -> Path:
    """The official arrangement with one PNG and one JPEG image a split."""
    for split in ("train", "val"):
        for folder in (split, f"{split}annot"):
            (tmp_path / folder).mkdir()
        for stem, suffix in (("0001TP_006690", "png"), ("0016E5_00390", "jpg")):
            Image.fromarray(np.full((6, 8, 3), 77, np.uint8)).save(tmp_path / split / f"{stem}.{suffix}")
            mask = np.arange(48).reshape(6, 8) % 12
            Image.fromarray(mask.astype(np.uint8)).save(tmp_path / f"{split}annot" / f"{stem}.png")
    return tmp_path


def test_miniature_copy(miniature: Path) -> None:
    train = open_camvid(miniature, "train")
    assert train.names == ["0001TP_006690", "0016E5_00390"]
    assert train.info.num_classes == 11 and len(train.info.colours) == 11
    assert train.image(1).shape == (6, 8, 3)
    label = train.label(1)
    assert label is not None and label.dtype == np.uint8
    assert np.unique(label).tolist() == [*range(11), 255]  # void became ignored
    (miniature / "trainannot" / "0016E5_00390.png").unlink()
    again = open_camvid(miniature, "train")
    assert not again.has_label(1) and again.label(1) is None


def test_wrong_copies(miniature: Path, tmp_path: Path) -> None:
    with pytest.raises(SemisegError, match=r"expected test/ and testannot/.*holds: train, trainannot"):
        open_camvid(miniature, "test")
    with pytest.raises(UsageError, match="no split"):
        open_camvid(miniature, "training")
    Image.fromarray(np.full((6, 8), 12, np.uint8)).save(miniature / "valannot" / "0016E5_00390.png")
    with pytest.raises(SemisegError, match=r"0016E5_00390\.png holds values 12 outside 0…11"):
        open_camvid(miniature, "val").label(1)


@pytest.mark.skipif(real() is None, reason="CamVid is not here; point SEMISEG_DATA to the folder above camvid/")
def test_the_real_copy() -> None:
    root = real()
    train, val = open_camvid(root, "train"), open_camvid(root, "val")
    assert (len(train), len(val)) == (367, 101)
    assert train.image(0).shape == (360, 480, 3)
    label = train.label(0)
    assert label is not None and label.shape == (360, 480) and set(np.unique(label)) <= {*range(11), 255}


def test_masks_that_cannot_be_used_are_named(miniature: Path) -> None:
    mask = miniature / "trainannot" / "0016E5_00390.png"
    train = open_camvid(miniature, "train")
    mask.write_bytes(b"junk")
    with pytest.raises(SemisegError, match=r"0016E5_00390\.png cannot be read as a mask"):
        train.label(1)
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(mask)
    with pytest.raises(SemisegError, match="colour image"):
        train.label(1)
    with pytest.raises(UsageError, match="CamVid has no option 'look'"):
        open_camvid(miniature, "train", look="game")


def test_the_test_split_opens_where_it_is_there(miniature: Path) -> None:
    (miniature / "val").rename(miniature / "test")
    (miniature / "valannot").rename(miniature / "testannot")
    test = open_camvid(miniature, "test")
    assert len(test) == 2 and test.has_label(0)


def test_a_fold_takes_its_frames_from_train_and_val_together(tmp_path: Path) -> None:
    for k, split in enumerate(("train", "val")):
        for frame in range(1000 + 3000 * k, 4000 + 3000 * k, 300):
            for folder in (split, f"{split}annot"):
                (tmp_path / folder).mkdir(exist_ok=True)
                Image.fromarray(np.full((6, 8), k, np.uint8)).save(tmp_path / folder / f"0016E5_{frame:05d}.png")
    train, val = (open_camvid(tmp_path, split, fold=1) for split in ("train", "val"))
    assert val.names == [f"0016E5_{frame:05d}" for frame in range(3100, 5200, 300)]
    assert len(train) == 13 and not set(train.names) & set(val.names)
    assert [int(val.label(i).max()) for i in range(7)] == [0, 0, 0, 1, 1, 1, 1]  # masks of both folders
    assert all(val.has_label(i) and val.image(i).shape == (6, 8, 3) for i in range(7))
    with pytest.raises(UsageError, match="CamVid's train has no fold 3; train and val have 0, 1 and 2"):
        open_camvid(tmp_path, "train", fold=3)
    with pytest.raises(UsageError, match="CamVid's test has no fold 0"):
        open_camvid(tmp_path, "test", fold=0)
