from pathlib import Path

import pytest

from semiseg.data.datasets.layout import wrong_root


def message(root: Path) -> str:
    return str(wrong_root(root, "a/ of X", "a/ and b/", lambda p: (p / "marker of x").is_dir(), "unpack it", "data.x"))


def test_what_was_expected_and_found(tmp_path: Path) -> None:
    for name in ("images", ".cache"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    root = tmp_path / "photos"
    assert message(root) == f"no a/ of X in {root}: expected a/ and b/; found: .cache, images; unpack it"
    assert message(tmp_path / "none").endswith("found: no such folder; unpack it")


@pytest.mark.parametrize("given", ["set/b", "set/b/c", "set/b/c/d", "", "..", "none"])
def test_the_right_root_is_found_above_and_below(tmp_path: Path, given: str) -> None:
    right = tmp_path / "data" / "set"
    for name in ("marker of x", "b/c/d"):
        (right / name).mkdir(parents=True)
    found = message(tmp_path / "data" / given).endswith(f"give data.x={right}")
    assert found == (given != "none")


def test_hidden_folders_and_far_ones_are_not_offered(tmp_path: Path) -> None:
    (tmp_path / "p" / ".set" / "marker of x").mkdir(parents=True)
    (tmp_path / "p" / "1" / "2" / "3" / "marker of x").mkdir(parents=True)
    assert message(tmp_path / "p").endswith("unpack it")
    assert "give data.x" in message(tmp_path / "p" / "1")
