"""A georeferenced picture in, georeferenced predictions out, and never the whole of either in memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from rasters import PLACE, write_geotiff
from torch import Tensor, nn

from semiseg.data.base import DatasetInfo
from semiseg.data.rasters import geotiff
from semiseg.data.rasters.intensity import PixelSettings
from semiseg.data.rasters.reader import PixelReader
from semiseg.inference.plan import InferencePlan
from semiseg.networks.output import Output
from semiseg.prediction import geotiff as prediction
from semiseg.prediction.files import predict_files

COLOURS = ((200, 10, 20), (30, 210, 40), (50, 60, 220))
INFO = DatasetInfo("land", ("water", "field", "wood"), COLOURS)


class Brightest(nn.Module):
    """The class is the brightest of the first three channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels, self.seen = channels, 0

    def forward(self, images: Tensor) -> Output:
        assert images.shape[1] == self.channels
        self.seen = max(self.seen, *images.shape[2:])
        return Output(20 * images[:, :3], images)


def picture(path: Path, size: tuple[int, int], channels: int = 5) -> np.ndarray:
    """Numbers of 12 bits without data in the first 7 rows; returns the classes, 255 there."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, size).astype(np.uint8)
    bands = rng.integers(1, 1000, (channels, *size)).astype(np.uint16)
    for k in range(3):
        bands[k][classes == k] += 2500
    bands[:, :7], classes[:7] = 0, 255
    write_geotiff(path, bands, nodata=0)
    return classes


READER = PixelReader(PixelSettings(5, "dataset", ranges=((0, 4095),)))


@pytest.mark.parametrize("tile", [None, 32])
def test_files_lie_where_the_picture_does(tmp_path: Path, tile: int | None) -> None:
    classes = picture(tmp_path / "in" / "scene.tif", (90, 70))
    out = tmp_path / "out"
    (found,), failed = predict_files(
        Brightest(5), INFO, tmp_path / "in", out, plan=InferencePlan(tile=tile), confidence=True, pixels=READER
    )
    assert not failed and sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*")) == [
        "confidence/scene.tif", "masks/scene.tif", "overlays/scene.tif", "shares.csv",
    ]  # fmt: skip
    for folder, count, nodata in (("masks", 1, 255), ("overlays", 3, None), ("confidence", 1, 0)):
        with rasterio.open(out / folder / "scene.tif") as file:
            assert (file.crs.to_epsg(), file.transform, file.nodata, file.count) == (32632, PLACE, nodata, count)
            assert file.dtypes[0] == "uint8" and (file.height, file.width) == (90, 70)
    with rasterio.open(out / "masks" / "scene.tif") as file:
        assert np.array_equal(file.read(1), classes)
        assert file.colormap(1)[1][:3] == COLOURS[1] and file.tags(1)["CLASS_2"] == "wood"
    with rasterio.open(out / "confidence" / "scene.tif") as file:
        sure = file.read(1)
        assert not sure[:7].any() and sure[7:].min() > 85
    assert found.shares["wood"] == pytest.approx((classes[7:] == 2).mean()) and sum(found.shares.values()) == 1


@pytest.mark.parametrize(("ids", "kind", "blank"), [((5, 7, 255), "uint8", 254), ((1, 300, 40_000), "uint16", 255)])
def test_classes_have_the_values_of_the_training_masks(
    tmp_path: Path, ids: tuple[int, ...], kind: str, blank: int
) -> None:
    classes = picture(tmp_path / "scene.tif", (90, 70))
    info = replace(INFO, ids=ids)
    predict_files(Brightest(5), info, tmp_path / "scene.tif", tmp_path / "out", pixels=READER)
    with rasterio.open(tmp_path / "out" / "masks" / "scene.tif") as file:
        assert (file.nodata, file.dtypes[0], file.tags(1)[f"CLASS_{ids[2]}"]) == (blank, kind, "wood")
        assert np.array_equal(file.read(1), np.array([*ids, blank])[np.minimum(classes, 3)])


def test_tiles_read_and_written_are_what_the_whole_gives(tmp_path: Path) -> None:
    picture(tmp_path / "scene.tif", (90, 70))
    masks = []
    for name, plan in (("whole", InferencePlan()), ("tiles", InferencePlan(tile=24, flip=True))):
        predict_files(Brightest(5), INFO, tmp_path / "scene.tif", tmp_path / name, plan=plan, pixels=READER)
        with rasterio.open(tmp_path / name / "masks" / "scene.tif") as file:
            masks.append(file.read(1))
    assert np.array_equal(*masks)


def test_no_array_is_as_large_as_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classes = picture(tmp_path / "scene.tif", (600, 400))
    monkeypatch.setattr(prediction, "WHOLE", 300 * 300)
    monkeypatch.setattr(prediction, "TILE", 64)
    largest = []
    for name in ("read", "valid"):
        real = getattr(geotiff.GeoRaster, name)

        def watched(self, channels, window=None, real=real):  # type: ignore[no-untyped-def]
            largest.append(np.prod(self.size if window is None else window[2:]))
            return real(self, channels, window)

        monkeypatch.setattr(geotiff.GeoRaster, name, watched)
    made = np.empty
    monkeypatch.setattr(
        np, "empty", lambda shape, *more, **words: largest.append(np.prod(shape)) or made(shape, *more, **words)
    )
    network = Brightest(5)
    predict_files(network, INFO, tmp_path / "scene.tif", tmp_path / "out", confidence=True, pixels=READER)
    assert network.seen == 64 and len(largest) > 100 and max(largest) <= 3 * 64 * 64 * 5
    with rasterio.open(tmp_path / "out" / "masks" / "scene.tif") as file:
        assert np.array_equal(file.read(1), classes)


def test_a_large_picture_is_not_squeezed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "scene.tif", (90, 70))
    monkeypatch.setattr(prediction, "WHOLE", 1000)
    plan = InferencePlan(resize=32)
    done, (failed,) = predict_files(
        Brightest(5), INFO, tmp_path / "scene.tif", tmp_path / "o", plan=plan, pixels=READER
    )
    assert not done and failed.reason.endswith("scene.tif is too large to be predicted at once; give --tile 512")
    assert not list((tmp_path / "o").rglob("*.tif*"))


def test_rgb_of_8_bits_needs_no_setting_and_other_files_stay_png(tmp_path: Path) -> None:
    bands = np.random.default_rng(0).integers(1, 255, (3, 20, 30)).astype(np.uint8)
    write_geotiff(tmp_path / "in" / "a.tif", bands)
    Image.fromarray(bands.transpose(1, 2, 0)).save(tmp_path / "in" / "b.tif")
    predict_files(Brightest(3), INFO, tmp_path / "in", tmp_path / "out")
    with rasterio.open(tmp_path / "out" / "masks" / "a.tif") as file:
        mask = file.read(1)
    assert np.array_equal(mask, bands.argmax(0)) and np.array_equal(
        mask, np.asarray(Image.open(tmp_path / "out" / "masks" / "b.png"))
    )


def test_another_count_of_channels_is_skipped_with_a_line(tmp_path: Path) -> None:
    picture(tmp_path / "a.tif", (20, 20), channels=4)
    _, (failed,) = predict_files(Brightest(5), INFO, tmp_path / "a.tif", tmp_path / "out", pixels=READER)
    assert "a.tif has 4 channels, data.channels=5" in failed.reason


def test_gradients_are_as_before(tmp_path: Path) -> None:
    picture(tmp_path / "a.tif", (40, 40))
    predict_files(Brightest(5), INFO, tmp_path / "a.tif", tmp_path / "out", plan=InferencePlan(tile=16), pixels=READER)
    assert torch.is_grad_enabled()
