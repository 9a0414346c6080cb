import os
from pathlib import Path

import pytest

from semiseg.data.splits.lists import parse_labelled, read_list, seeded_split, write_list
from semiseg.errors import UsageError


@pytest.mark.parametrize(
    ("text", "total", "count"),
    [("1/30", 367, 12), ("1/8", 367, 46), ("12", 367, 12), (12, 367, 12), (0.1, 50, 5), ("all", 9, 9), ("1/30", 3, 1),
     ("1/1", 7, 7), ("1.0", 7, 7), (1, 7, 1)],
)  # fmt: skip
def test_counts_and_fractions(text: object, total: int, count: int) -> None:
    assert parse_labelled(text, total) == count  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "message"), [("0", "above 0"), ("-3", "above 0"), ("many", "count"), ("1/0", "count"),
                                               ("12", "only 5 images"), ("3/2", "only 5 images")])  # fmt: skip
def test_wrong_counts(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_labelled(text, 5)


def test_split_ignores_the_order_of_the_listing_and_grows_by_appending() -> None:
    names = [f"n{i:03d}" for i in range(50)]
    assert seeded_split(names, 12, 3) == seeded_split(names[::-1], 12, 3)
    assert seeded_split(names, 20, 3)[:12] == seeded_split(names, 12, 3)
    assert len({tuple(seeded_split(names, 12, seed)) for seed in range(5)}) == 5
    assert len(set(seeded_split(names, 50, 1))) == 50


def test_lists_read_back_and_tolerate_published_forms(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    write_list(path, ["b", "a"])
    assert read_list(path, ["a", "b", "c"]) == ["b", "a"]
    path.write_text("# labelled\nimages/a.png\n\nb.jpg  # rainy\n")
    assert read_list(path, ["a", "b", "c"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"), [("a\nx\ny\n", "2 names .* x, y"), ("# none\n", "lists no image"), ("a\na\n", "a twice")]
)
def test_wrong_lists(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_list(tmp_path / "list.txt", ["a", "b"])
    with pytest.raises(UsageError, match="no list file"):
        read_list(tmp_path / "none.txt", ["a"])


def test_names_keep_their_dots_and_hashes(tmp_path: Path) -> None:
    path, names = tmp_path / "list.txt", ["street.1", "street.2", "night#3", "photo", "photo #1", "#2"]
    write_list(path, names)
    assert read_list(path, names) == names
    path.write_bytes(b"\xef\xbb\xbfstreet.1\r\nimages\\street.2.PNG\r\n")  # as Windows writes it
    assert read_list(path, names) == ["street.1", "street.2"]


def test_a_bare_name_of_two_images_is_not_guessed(tmp_path: Path) -> None:
    path, names = tmp_path / "list.txt", ["bern/1", "ulm/1", "ulm/2"]
    path.write_text("2.png\nulm/1\n")
    assert read_list(path, names) == ["ulm/2", "ulm/1"]
    path.write_text("1.png\n")
    with pytest.raises(UsageError, match=r"1 names are not in the data set, e\.g\. 1\.png"):
        read_list(path, names)


def test_lists_of_cityscapes_and_lists_of_pairs(tmp_path: Path) -> None:
    path, names = tmp_path / "list.txt", ["ulm/ulm_0_1", "ulm/ulm_0_2", "2007_000032", "rainy day"]
    path.write_text("leftImg8bit/train/ulm/ulm_0_1_leftImg8bit.png gtFine/train/ulm/ulm_0_1_gtFine_labelTrainIds.png\n"
                    "ulm_0_2_leftImg8bit.png\n/JPEGImages/2007_000032.jpg /SegmentationClassAug/2007_000032.png\n"
                    "photos/rainy day.jpg\n")  # fmt: skip
    assert read_list(path, names) == names
    path.write_text("rainy day masks/rainy.png\n")  # the first word alone is no name
    with pytest.raises(UsageError, match=r"1 names are not in the data set, e\.g\. rainy day masks/rainy\.png"):
        read_list(path, names)


def test_names_that_are_not_utf8_are_read_back(tmp_path: Path) -> None:
    names = [os.fsdecode(b"caf\xe9"), "cafe"]
    write_list(tmp_path / "list.txt", names)
    assert read_list(tmp_path / "list.txt", names) == names
