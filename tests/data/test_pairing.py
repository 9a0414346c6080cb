import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semiseg.data.convert import convert
from semiseg.data.datasets.folder import open_folder
from semiseg.data.pairing import paired, spelling, told_alone, unread
from semiseg.data.splits.lists import read_list
from semiseg.errors import SemisegError

APART = unicodedata.normalize("NFD", "Käfer")


def masks(*stems: str) -> dict[str, Path]:
    return {stem: Path(f"{stem}.png") for stem in stems}


def put(path: Path, value: int = 1, channels: int | None = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4, channels) if channels else (4, 4), value, np.uint8)).save(path)


@pytest.mark.parametrize("mask", [APART, "käfer", APART.upper(), "Käfer"])
def test_names_that_look_the_same_are_the_same(mask: str) -> None:
    found, alone = paired(["Käfer", "b"], masks(mask, "c"))
    assert found == {"Käfer": Path(f"{mask}.png")} and alone == [Path("c.png")]
    assert spelling(mask) == spelling("Käfer")


def test_equal_names_go_before_alike_ones_and_doubt_is_an_error() -> None:
    both = masks("a", "A")
    assert paired(["a", "A"], both) == (both, [])
    with pytest.raises(SemisegError, match=r"AB\.png and aB differ from Ab in case or accents only; rename them"):
        paired(["Ab", "aB"], masks("AB"))
    with pytest.raises(SemisegError, match="differ from ab in case or accents only"):
        paired(["ab"], masks("AB", "Ab"))


def test_a_list_of_names_may_be_spelt_otherwise(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{APART}.png\nB\n", encoding="utf-8")
    assert read_list(tmp_path / "list.txt", ["Käfer", "b", "c"]) == ["Käfer", "b"]


def test_a_folder_pairs_and_splits_by_what_names_look_like(tmp_path: Path) -> None:
    for image, mask in ((f"ä{i}", unicodedata.normalize("NFD", f"Ä{i}")) for i in range(4)):
        put(tmp_path / "images" / f"{image}.png")
        put(tmp_path / "masks" / f"{mask}.png", channels=None)
    train, val = open_folder(tmp_path, "train"), open_folder(tmp_path, "val")
    assert sum(part.has_label(i) for part in (train, val) for i in range(len(part))) == 4 and train.remarks == ()


def test_masks_with_an_unusual_ending_are_told_with_it(tmp_path: Path) -> None:
    for i in range(3):
        put(tmp_path / "images" / f"i{i}.png")
        put(tmp_path / "masks" / f"i{i}xy.png", channels=None)
    with pytest.raises(SemisegError, match=r"no mask in .*; 3 are called IMAGExy\.png: rename them without xy"):
        open_folder(tmp_path, "train")
    assert "called" not in told_alone(["i0"], [Path("other.png")])


def test_what_is_not_read_is_told(tmp_path: Path) -> None:
    put(tmp_path / "images" / "a.png")
    assert unread(tmp_path / "images") == [] == unread(tmp_path / "nowhere")
    put(tmp_path / "images" / "site2" / "b.png")
    (tmp_path / "images" / "notes.txt").touch()
    (told,) = unread(tmp_path / "images")
    assert told.startswith("1 files in sub-folders of") and "site2/b.png" in told
    assert unread(tmp_path / "images", nested=False) == []
    for name in ("a.gif", "b.gif", "c.npy"):
        (tmp_path / "masks").mkdir(exist_ok=True)
        (tmp_path / "masks" / name).touch()
    (told,) = unread(tmp_path / "masks")
    assert told.startswith("2 files in") and "end in .gif, which is not read" in told


def test_masks_of_another_format_are_named(tmp_path: Path) -> None:
    put(tmp_path / "images" / "a.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.gif").touch()
    with pytest.raises(SemisegError, match=r"no mask in .*; 1 files in .*masks end in \.gif, which is not read"):
        open_folder(tmp_path, "train")


def test_conversion_of_colour_masks_reads_sub_folders(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for name in ("cam1/a", "cam2/a", "cam2/b"):
        put(source / "JPEGImages" / f"{name}.png")
        put(source / "SegmentationClass" / f"{name}.png", 200 if name == "cam1/a" else 100)
    put(source / "SegmentationClass" / "cam1" / "c.png", 90)
    done = convert(source, "colour", tmp_path / "out")
    assert (done.images, done.masks) == (3, 3) and any("1 masks have no image" in note for note in done.notes)
