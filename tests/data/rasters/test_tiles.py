from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rasters import geo_folder, scene, write_geotiff

from semiseg import Config
from semiseg.data.base import IGNORE
from semiseg.data.datasets.folder import Folder
from semiseg.data.rasters import geotiff
from semiseg.data.rasters.tiles import TiledImages
from semiseg.data.run_data import RunData, open_run_data
from semiseg.data.windows import tiles_of
from semiseg.errors import SemisegError, UsageError

CLASSES = "classes: [a, b, c]\n"


def opened(root: Path, *words: str) -> RunData:
    given = [f"data.root={root}", "data.channels=4", "data.intensity=image", "data.tile=64", *words]
    return open_run_data(Config.load("folder", given).data)


def test_tiles_cover_an_image_once_and_are_nearly_equal() -> None:
    seen = np.zeros((130, 64), int)
    for window in tiles_of((130, 64), 64):
        seen[window.top : window.top + window.height, window.left : window.left + window.width] += 1
        assert 43 <= window.height <= 44 and window.width == 64
    assert (seen == 1).all()


def test_every_tile_is_the_part_of_its_picture(tmp_path: Path) -> None:
    geo_folder(tmp_path, side=130)
    (tmp_path / "dataset.yaml").write_text(CLASSES)
    data = opened(tmp_path)
    words = [f"data.root={tmp_path}", "data.channels=4", "data.intensity=image"]
    whole = open_run_data(Config.load("folder", words).data)
    assert isinstance(data.train, TiledImages) and len(data.train) == 9 * len(whole.train)
    name = "scene5_y086_x043"
    image = whole.train.image(whole.train.names.index("scene5"))
    i = data.train.names.index(name)
    assert np.array_equal(data.train.image(i), image[86:130, 43:86]) and data.train.size_of(i) == (44, 43)
    assert data.train.label(i) is None and not data.train.has_label(i)
    labelled = data.labelled[0]
    tile = data.train.tiles[data.train.names[labelled]]
    truth = whole.train.label(whole.train.names.index(tile.image))
    assert truth is not None and tile.window is not None
    assert np.array_equal(data.train.label(labelled), tile.window.cut(truth, IGNORE))


def test_nothing_is_read_but_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    geo_folder(tmp_path, side=130)
    (tmp_path / "dataset.yaml").write_text(CLASSES)
    monkeypatch.setattr(geotiff.GeoRaster, "sample", lambda self, channels: np.array([[0] * 4, [4000] * 4]))
    monkeypatch.setattr(Folder, "read_label", lambda self, path: pytest.fail("a whole mask was read"))
    read, seen = geotiff.GeoRaster.read, []

    def watched(self, channels, window=None):  # type: ignore[no-untyped-def]
        seen.append(read(self, channels, window))
        return seen[-1]

    monkeypatch.setattr(geotiff.GeoRaster, "read", watched)
    data = opened(tmp_path)
    for i in range(len(data.train)):
        data.train.image(i), data.train.label(i)
    assert seen and max(max(array.shape[:2]) for array in seen) <= 64


def test_a_tile_without_a_class_is_unlabelled(tmp_path: Path) -> None:
    geo_folder(tmp_path, side=48)
    (tmp_path / "dataset.yaml").write_text(CLASSES)
    bands, label = scene(9, (130, 130), 4)
    label[:, 65:] = IGNORE
    write_geotiff(tmp_path / "images" / "large.tif", bands)
    write_geotiff(tmp_path / "masks" / "large.tif", label[None])
    data = opened(tmp_path)
    parts = [part for part in (data.train, data.val) for name in part.names if name.startswith("large")]
    found = {name: part.has_label(part.names.index(name)) for part in parts for name in part.names if "large" in name}
    assert len(found) == 9 and {name for name, has in found.items() if not has} >= {
        name for name in found if name.endswith("x086")
    }
    assert sum(found.values()) == 6


def test_classes_are_counted_in_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    geo_folder(tmp_path, side=130)
    monkeypatch.setattr("semiseg.data.datasets.counting.read_mask", lambda path: pytest.fail("a whole mask was read"))
    assert opened(tmp_path).train.info.num_classes == 3


def test_two_images_of_one_name_and_sets_without_files_are_one_line(tmp_path: Path) -> None:
    geo_folder(tmp_path, side=130)
    (tmp_path / "dataset.yaml").write_text(CLASSES)
    bands, _ = scene(9, (20, 20), 4)
    write_geotiff(tmp_path / "images" / "scene5_y086_x043.tif", bands)
    with pytest.raises(SemisegError, match="both be called scene5_y086_x043; rename one"):
        opened(tmp_path)
    with pytest.raises(UsageError, match=r"data\.tile is for image files; toy_streets has none"):
        open_run_data(Config.load("toy_streets", ["data.tile=64"]).data)


def test_geotiff_masks_of_large_pictures_of_another_kind_are_cut_alike(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(6):
        for part in ("images", "masks"):
            (tmp_path / part).mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (100, 100, 3)).astype(np.uint8)).save(tmp_path / "images" / f"a{i}.png")
        write_geotiff(tmp_path / "masks" / f"a{i}.tif", rng.integers(0, 3, (1, 100, 100)).astype(np.uint8))
    (tmp_path / "dataset.yaml").write_text(CLASSES)
    data = open_run_data(Config.load("folder", [f"data.root={tmp_path}", "data.tile=64"]).data)
    whole = open_run_data(Config.load("folder", [f"data.root={tmp_path}"]).data)
    assert isinstance(data.train, TiledImages) and data.labelled
    for i in data.labelled:
        tile = data.train.tiles[data.train.names[i]]
        truth = whole.train.label(whole.train.names.index(tile.image))
        assert truth is not None and tile.window is not None
        assert np.array_equal(data.train.label(i), tile.window.cut(truth, IGNORE))
