"""What was seen of a file is not looked for again until the file changes."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semiseg import Config
from semiseg.data.check import cache, part
from semiseg.data.check.dataset import Checked, check_data
from semiseg.data.datasets.folder import open_folder
from semiseg.data.run_data import open_split

LONG_AGO = 10**18


@pytest.fixture(autouse=True)
def looked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names that were looked at; results are kept in a folder of the test."""
    seen: list[str] = []
    look_at = part.look_at

    def counting(images: object, split: str, i: int, *how: bool, **more: bool) -> object:
        seen.append(images.names[i])  # type: ignore[attr-defined]
        return look_at(images, split, i, *how, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(part, "look_at", counting)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return seen


def check(root: Path, quick: bool = True) -> Checked:
    train, val = open_folder(root, "train"), open_folder(root, "val")
    return check_data(train, val, [n for i, n in enumerate(train.names) if train.has_label(i)], (32, 32), quick=quick)


def age(root: Path) -> None:
    for path in root.rglob("*.png"):
        os.utime(path, ns=(LONG_AGO, LONG_AGO))


def test_a_second_look_reads_only_what_has_changed(folder: Path, looked: list[str]) -> None:
    age(folder)
    first = check(folder)
    assert len(looked) == 12 and first.findings == []
    looked.clear()
    assert check(folder) == first and looked == []
    check(folder, quick=False)
    assert len(looked) == 12, "a quick look does not stand for a whole one"
    looked.clear()
    os.utime(folder / "masks" / "photo01.png", ns=(LONG_AGO, LONG_AGO + 1))
    check(folder)
    assert looked == ["photo01"]
    (folder / "dataset.yaml").write_text("classes: [a, b, c]\n")
    looked.clear()
    check(folder)
    assert len(looked) == 12, "another description, other labels"


def test_files_that_have_just_changed_and_faults_are_looked_at_again(folder: Path, looked: list[str]) -> None:
    check(folder)
    check(folder)
    assert len(looked) == 24
    age(folder)
    (folder / "dataset.yaml").write_text("classes: [a, b, c]\n")
    Image.fromarray(np.full((64, 64), 9, np.uint8)).save(folder / "masks" / "photo01.png")
    os.utime(folder / "masks" / "photo01.png", ns=(LONG_AGO, LONG_AGO))
    for _ in range(2):
        looked.clear()
        assert any("values 9" in finding.message for finding in check(folder).findings)
    assert looked == ["photo01"]


def test_pixels_that_are_read_otherwise_are_looked_at_again(folder: Path, looked: list[str]) -> None:
    age(folder)
    opened = cache.LookCache(open_folder(folder, "train")).path
    for intensity in ("image", "full"):
        config = Config.load("folder", [f"data.root={folder}", f"data.intensity={intensity}"]).data
        found = cache.LookCache(open_split(config, "train")).path
        assert found != opened
        opened = found


def test_a_damaged_or_missing_store_is_no_result(
    folder: Path, looked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(folder)
    check(folder)
    (store,) = cache.folder().glob("*.json")
    for text in ("junk", "[]", '{"a": 1}'):
        store.write_text(text)
        looked.clear()
        check(folder)
        assert len(looked) == 12
    (tmp_path / "cache2").touch()  # no folder can be made there
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache2"))
    assert check(folder).findings == []
