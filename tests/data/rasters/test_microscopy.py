from pathlib import Path

import numpy as np
import pytest
import tifffile

from semiseg.data.rasters.microscopy import arranged, open_tiff, tiff_size
from semiseg.data.rasters.opening import open_raster, raster_size
from semiseg.errors import SemisegError

PATH = Path("cells.tif")


def test_rows_columns_and_channels_in_any_order() -> None:
    values = np.arange(2 * 4 * 5).reshape(2, 4, 5)
    assert np.array_equal(arranged(values, "CYX", {}, PATH), values.transpose(1, 2, 0))
    assert arranged(values, "YXS", {}, PATH).shape == (2, 4, 5)
    assert arranged(values[:, None, :, :, None], "CZYXS", {}, PATH).shape == (4, 5, 2)


def test_what_is_taken_along_an_axis() -> None:
    values = np.random.default_rng(0).integers(0, 100, (3, 2, 4, 5)).astype(np.uint16)
    first = arranged(values, "ZTYX", {"Z": 2, "T": 1}, PATH)
    assert np.array_equal(first[..., 0], values[1, 0])
    assert np.array_equal(arranged(values, "ZTYX", {"Z": "max", "T": 2}, PATH)[..., 0], values[:, 1].max(0))
    mean = arranged(values, "ZTYX", {"Z": "mean", "T": 1}, PATH)
    assert mean.dtype == np.uint16 and np.array_equal(mean[..., 0], np.rint(values[:, 0].mean(0)))
    assert np.array_equal(arranged(values[:, 0], "ZYX", {"Z": "channels"}, PATH), values[:, 0].transpose(1, 2, 0))


def test_no_plane_is_left_out_in_silence() -> None:
    values = np.zeros((3, 2, 4, 5))
    with pytest.raises(SemisegError, match=r"3 planes along Z and 2 planes along T; .* 'data\.stack=\{Z: 1, T: 1\}'"):
        arranged(values, "ZTYX", {}, PATH)
    with pytest.raises(SemisegError, match=r"has 3 planes along Z, not 4; correct data\.stack"):
        arranged(values, "ZTYX", {"Z": 4, "T": 1}, PATH)
    with pytest.raises(SemisegError, match="axes TZC, not of rows and columns"):
        arranged(np.zeros((1, 2, 3)), "TZC", {}, PATH)


def test_an_ome_tiff_has_its_channels_and_size(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    values = np.random.default_rng(0).integers(0, 4096, (2, 3, 30, 20)).astype(np.uint16)
    tifffile.imwrite(path, values, metadata={"axes": "CZYX"}, compression="lzw")
    with open_tiff(path, {"Z": "max"}) as raster:
        assert (raster.size, raster.count, raster.dtype) == ((30, 20), 2, np.uint16)
        assert np.array_equal(raster.read([1])[..., 0], values[1].max(0))
    assert tiff_size(path) == raster_size(path) == (30, 20)


def test_several_pages_are_an_error_that_says_how_to_take_one(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    tifffile.imwrite(path, np.zeros((4, 30, 20), np.uint16), photometric="minisblack", metadata=None)
    with pytest.raises(SemisegError, match=r"4 planes along \w; say what is taken"):
        open_raster(path, {})


def test_pictures_of_other_sizes_in_one_file_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "two.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(np.zeros((30, 20), np.uint8), metadata=None)
        file.write(np.zeros((10, 15), np.uint8), metadata=None)
    with pytest.raises(SemisegError, match="2 pictures, of which one would be read"):
        open_raster(path, {})


def test_opacity_is_told_from_a_fourth_channel(tmp_path: Path) -> None:
    for kind, alpha in (("unassalpha", 3), ("unspecified", None)):
        tifffile.imwrite(tmp_path / f"{kind}.tif", np.ones((8, 9, 4), np.uint8), photometric="rgb", extrasamples=[kind])
        with open_raster(tmp_path / f"{kind}.tif", {}) as raster:
            assert raster.alpha == alpha


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0 and nothing else")
    with pytest.raises(SemisegError, match=r"a\.tif cannot be read as an image \(.*\); replace or remove it"):
        open_raster(tmp_path / "a.tif", {})


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 9), np.uint16))
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(SemisegError, match=r'pip install "semiseg\[microscopy\]"'):
        open_raster(tmp_path / "a.tif", {})
