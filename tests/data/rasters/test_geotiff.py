from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image
from rasterio.transform import from_origin
from rasters import PLACE, scene, write_geotiff

from semiseg.data.files import read_mask
from semiseg.data.rasters import geotiff
from semiseg.data.rasters.opening import open_raster
from semiseg.data.windows import Window
from semiseg.errors import SemisegError


def test_windows_channels_and_no_data(tmp_path: Path) -> None:
    bands, _ = scene(0, (40, 30), 4)
    bands[:, :3] = 0
    bands[0, 10] = 0  # no content in one channel alone
    write_geotiff(tmp_path / "a.tif", bands, nodata=0)
    with geotiff.GeoRaster(tmp_path / "a.tif") as raster:
        assert (raster.size, raster.count, raster.dtype, raster.alpha) == ((40, 30), 4, np.uint16, None)
        part = raster.read([3, 0], Window(5, 6, 20, 10))
        assert np.array_equal(part, bands[[3, 0], 5:25, 6:16].transpose(1, 2, 0))
        valid = raster.valid([0, 1])
        assert valid is not None and not valid[:3].any() and valid[3:].all()
        assert raster.valid([0, 1], Window(20, 0, 5, 5)) is None
        assert len(raster.sample([0, 1])) == 37 * 30


def test_a_file_that_says_nothing_has_content_everywhere_but_where_there_is_no_number(tmp_path: Path) -> None:
    floats = np.ones((2, 20, 16), np.float32)
    floats[:, 4] = np.nan
    floats[0, 5] = np.nan
    write_geotiff(tmp_path / "a.tif", floats)
    with geotiff.GeoRaster(tmp_path / "a.tif") as raster:
        valid = raster.valid([0, 1])
    assert valid is not None and (~valid).nonzero()[0].tolist() == [4] * 16


def test_the_sample_of_a_large_picture_is_spread_over_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semiseg.data.rasters.base.SAMPLE", 100)
    bands = np.arange(40 * 40, dtype=np.uint16).reshape(1, 40, 40)
    write_geotiff(tmp_path / "a.tif", bands)
    with geotiff.GeoRaster(tmp_path / "a.tif") as raster:
        monkeypatch.setattr(raster, "read", lambda channels, window: _narrow(bands, channels, window))
        assert np.array_equal(raster.sample([0]), bands[0, ::4, ::4].reshape(-1, 1))


def _narrow(bands: np.ndarray, channels: list[int], window: Window) -> np.ndarray:
    assert window.height == 1
    return window.cut(bands[channels].transpose(1, 2, 0), 0)


def test_which_files_are_read_in_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_geotiff(tmp_path / "geo.tif", np.ones((1, 8, 8), np.uint8))
    write_geotiff(tmp_path / "none.tif", np.ones((1, 8, 8), np.uint8), nodata=0, crs=None, transform=None)
    tifffile.imwrite(tmp_path / "plain.tif", np.ones((8, 8), np.uint8))
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    names = ("geo.tif", "none.tif", "plain.tif", "a.png", "absent.tif")
    assert [geotiff.reads(tmp_path / name) for name in names] == [True, True, False, False, False]
    monkeypatch.setattr(geotiff, "LARGE", 64)
    assert geotiff.reads(tmp_path / "plain.tif")
    monkeypatch.setattr(geotiff, "installed", lambda: False)
    assert not geotiff.reads(tmp_path / "geo.tif")


def test_a_mask_must_lie_where_its_image_does(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "image.tif", np.ones((3, 20, 20), np.uint8))
    write_geotiff(tmp_path / "right.tif", np.ones((1, 20, 20), np.uint8))
    write_geotiff(tmp_path / "nowhere.tif", np.ones((1, 20, 20), np.uint8), crs=None, transform=None)
    for name in ("right.tif", "nowhere.tif"):
        assert geotiff.check_same_place(tmp_path / name, tmp_path / "image.tif") == (20, 20)
    moved = from_origin(500_020, 6_000_000, 10, 10)
    for name, more in (("moved", {"transform": moved}), ("zone", {"crs": "EPSG:32633", "transform": PLACE})):
        write_geotiff(tmp_path / f"{name}.tif", np.ones((1, 20, 20), np.uint8), **more)
        with pytest.raises(SemisegError, match=r"does not lie where image\.tif does"):
            geotiff.check_same_place(tmp_path / f"{name}.tif", tmp_path / "image.tif")
    write_geotiff(tmp_path / "small.tif", np.ones((1, 20, 19), np.uint8))
    with pytest.raises(SemisegError, match="make the mask as large"):
        geotiff.check_same_place(tmp_path / "small.tif", tmp_path / "image.tif")


def test_masks_are_read_in_windows_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    label = np.random.default_rng(0).integers(0, 5, (1, 30, 20)).astype(np.uint8)
    write_geotiff(tmp_path / "a.tif", label)
    assert np.array_equal(geotiff.read_mask_window(tmp_path / "a.tif", Window(3, 4, 9, 8)), label[0, 3:12, 4:12])
    monkeypatch.setattr(geotiff, "PART", 7)
    parts = list(geotiff.mask_parts(tmp_path / "a.tif"))
    assert max(part.size for part in parts) <= 49 and sum(part.size for part in parts) == 600
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.write_colormap(1, {0: (9, 8, 7), 1: (1, 2, 3)})  # as predictions have
    assert geotiff.reads(tmp_path / "a.tif")
    assert np.array_equal(geotiff.read_mask_window(tmp_path / "a.tif", Window(0, 0, 30, 20)), label[0])
    with pytest.raises(SemisegError, match="stores colours by a palette; save it as RGB"):
        open_raster(tmp_path / "a.tif", {})
    write_geotiff(tmp_path / "b.tif", label.astype(np.float32))
    with pytest.raises(SemisegError, match="floating-point values; save class numbers"):
        geotiff.read_mask_window(tmp_path / "b.tif", Window(0, 0, 2, 2))


def test_half_a_pixel_is_the_same_place_however_large_the_picture_and_more_is_not(tmp_path: Path) -> None:
    def placed(name: str, east: float, size: float = 1.0) -> Path:
        profile = {"driver": "GTiff", "height": 1000, "width": 1000, "count": 1, "dtype": "uint8", "crs": "EPSG:32633"}
        with rasterio.open(
            tmp_path / name, "w", **profile, transform=from_origin(5000 + east, 9000, size, size)
        ) as file:
            file.write(np.zeros((1, 1000, 1000), np.uint8))
        return tmp_path / name

    image = placed("image.tif", 0)
    assert geotiff.check_same_place(placed("near.tif", 0.4), image) == (1000, 1000)
    for name, east, size in (("shifted.tif", 2.0, 1.0), ("larger.tif", 0.0, 1.001)):
        with pytest.raises(SemisegError, match="does not lie where"):
            geotiff.check_same_place(placed(name, east, size), image)


def test_what_is_no_number_is_no_content_beside_a_no_data_value_too(tmp_path: Path) -> None:
    values = np.ones((1, 10, 10), np.float32)
    values[0, :5], values[0, 9] = np.nan, -9999
    for nodata, count in ((None, 50), (-9999, 40)):
        profile = {"driver": "GTiff", "height": 10, "width": 10, "count": 1, "dtype": "float32", "nodata": nodata}
        with rasterio.open(tmp_path / "a.tif", "w", **profile) as file:
            file.write(values)
        with geotiff.GeoRaster(tmp_path / "a.tif") as raster:
            valid = raster.valid([0])
        assert valid is not None and valid.sum() == count


def test_transparent_pixels_of_a_coloured_mask_are_black_in_windows_too(tmp_path: Path) -> None:
    values = np.full((4, 8, 8), 200, np.uint8)
    values[3, :, 4:] = 0
    with rasterio.open(
        tmp_path / "a.tif",
        "w",
        driver="GTiff",
        height=8,
        width=8,
        count=4,
        dtype="uint8",
        photometric="RGB",
        alpha="YES",
    ) as file:
        file.write(values)
    found = geotiff.read_mask_window(tmp_path / "a.tif", Window(0, 2, 8, 4))
    assert (
        (found[:, :2] == 200).all()
        and (found[:, 2:] == 0).all()
        and np.array_equal(found, read_mask(tmp_path / "a.tif")[:, 2:6])
    )
