"""Data sets by name, those of installed packages among them."""

from importlib.metadata import EntryPoint

import numpy as np
import pytest

from semiseg.config.read import DataConfig
from semiseg.data.base import DatasetInfo, ImageSet
from semiseg.data.datasets import DATASETS, dataset_names, known_classes, opener
from semiseg.data.datasets.toy_streets import ToyStreets
from semiseg.data.run_data import open_run_data, open_split
from semiseg.errors import SemisegError, UsageError
from semiseg.runtime import plugins


class Tiles(ImageSet):
    """What another package might bring."""

    info = DatasetInfo("tiles", ("grout", "tile"), ((0, 0, 0), (255, 255, 255)))

    def __init__(self, root: str | None, split: str, count: int) -> None:
        self.root, self.split, self.names = root, split, [f"{split}_{i}" for i in range(count)]

    def image(self, i: int) -> np.ndarray:
        return np.full((8, 8, 3), i, np.uint8)

    def label(self, i: int) -> np.ndarray:
        return np.full((8, 8), i % 2, np.uint8)

    def has_label(self, i: int) -> bool:
        return True


def open_tiles(root: str | None, split: str, *, count: int = 3) -> Tiles:
    return Tiles(root, split, count)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three entry points: a new name, one that this package has, and one whose module is missing."""
    points = {
        name: EntryPoint(name, value, plugins.DATASETS)
        for name, value in (("broken", "no.such.module:f"), ("tiles", "tests:x"), ("toy_streets", "tests:x"))
    }
    monkeypatch.delenv("SEMISEG_DATA", raising=False)
    monkeypatch.setattr(plugins, "installed", lambda group: points if group == plugins.DATASETS else {})
    load = EntryPoint.load
    monkeypatch.setattr(EntryPoint, "load", lambda point: open_tiles if point.value == "tests:x" else load(point))


def test_own_names_come_first_and_once() -> None:
    assert dataset_names() == [*DATASETS, "broken", "tiles"]


def test_an_installed_data_set_opens_with_its_options() -> None:
    assert opener("tiles") is open_tiles
    data = open_run_data(DataConfig(dataset="tiles", options={"count": 5}, labelled=2))
    assert isinstance(data.train, Tiles) and isinstance(data.val, Tiles)
    assert (data.train.root, data.train.split, len(data.train)) == (None, "train", 5) and data.val.split == "val"
    assert len(data.labelled) == 2 and len(data.unlabelled) == 3
    assert known_classes("tiles") is None


def test_the_root_of_an_installed_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def root(given: str | None) -> str | None:
        opened = open_split(DataConfig(dataset="tiles", root=given), "train")
        assert isinstance(opened, Tiles)
        return opened.root

    assert root(None) is None and root("here") == "here"
    monkeypatch.setenv("SEMISEG_DATA", "base")
    assert root(None) == "base/tiles"


def test_own_data_sets_win() -> None:
    assert opener("toy_streets") is DATASETS["toy_streets"]
    assert isinstance(open_split(DataConfig(dataset="toy_streets", options={"train": 2}), "train"), ToyStreets)
    assert known_classes("toy_streets") == 8 and known_classes("cityscapes") == 19 and known_classes("folder") is None


def test_names_that_nobody_has_and_packages_that_do_not_import() -> None:
    with pytest.raises(UsageError, match=r"no data set 'tile'; did you mean 'tiles'\?; there are: folder, .*tiles$"):
        opener("tile")
    with pytest.raises(SemisegError, match=r"'broken' of semiseg\.datasets comes from"):
        open_split(DataConfig(dataset="broken"), "train")
