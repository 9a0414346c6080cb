import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rasters import scene, write_geotiff

from semiseg.data.files import read_rgb
from semiseg.data.rasters.intensity import PixelSettings
from semiseg.data.rasters.opening import open_raster, raster_size
from semiseg.data.rasters.reader import PixelReader
from semiseg.data.windows import Window
from semiseg.errors import SemisegError


def deep_png(path: Path) -> np.ndarray:
    """A PNG of 16 bits and three channels with numbers of 12 bits, which Pillow cannot write."""
    values = np.random.default_rng(0).integers(0, 4096, (24, 20, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 20, 24, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    return values.astype(np.uint16)


def test_colours_of_16_bits_keep_all_of_them(tmp_path: Path) -> None:
    values = deep_png(tmp_path / "a.png")
    read = PixelReader(PixelSettings(intensity="dataset", ranges=((0, 4095),))).image(tmp_path / "a.png")
    assert np.array_equal(read, np.rint(values / 4095 * 255))
    with pytest.raises(SemisegError, match=r"convert it to 8 bits, or set data\.intensity, e\.g\. "):
        read_rgb(tmp_path / "a.png")


def test_grey_of_16_bits_becomes_three_equal_channels_or_one(tmp_path: Path) -> None:
    values = np.arange(600, dtype=np.uint16).reshape(30, 20) * 100
    Image.fromarray(values).save(tmp_path / "a.png")
    read = PixelReader(PixelSettings(intensity="full")).image(tmp_path / "a.png")
    assert read.shape == (30, 20, 3) and np.array_equal(read[..., 0], read[..., 2])
    assert np.array_equal(PixelReader(PixelSettings(1, "full")).image(tmp_path / "a.png")[..., 0], read[..., 0])


def test_eight_bits_of_three_channels_are_read_as_always(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(rng.integers(0, 256, (20, 30)).astype(np.uint8)).save(tmp_path / "grey.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (30, 20), (250, 3, 7)).save(tmp_path / "turned.jpg", exif=turned)
    reader = PixelReader(PixelSettings(3))
    for name in ("a.png", "turned.jpg"):
        assert np.array_equal(reader.image(tmp_path / name), read_rgb(tmp_path / name))
        assert reader.size(tmp_path / name) == read_rgb(tmp_path / name).shape[:2]
    plain = PixelReader(PixelSettings())
    assert np.array_equal(plain.image(tmp_path / "grey.png"), read_rgb(tmp_path / "grey.png"))


def test_a_window_is_mapped_as_the_whole_is(tmp_path: Path) -> None:
    bands, _ = scene(0, (40, 30), 5)
    bands[:, :3] = 0
    write_geotiff(tmp_path / "a.tif", bands, nodata=0)
    reader = PixelReader(PixelSettings((5, 1), "image"))
    window = Window(1, 4, 20, 10)
    whole, blank = reader.image(tmp_path / "a.tif"), reader.blank(tmp_path / "a.tif")
    assert np.array_equal(reader.image(tmp_path / "a.tif", window), whole[1:21, 4:14])
    assert blank is not None and blank[:3].all() and not blank[3:].any() and not whole[:3].any()
    assert reader.blank(tmp_path / "a.tif", Window(10, 0, 5, 5)) is None
    low, high = np.percentile(bands[4, 3:], (1, 99.8))
    expected = np.rint((bands[4, 3:].astype(np.float32) - low).clip(0) / (high - low) * 255).clip(0, 255)
    assert np.abs(whole[3:, :, 0] - expected).max() <= 1


def test_transparent_pixels_are_no_content_unless_opacity_is_a_channel(tmp_path: Path) -> None:
    rgba = np.full((10, 12, 4), 200, np.uint8)
    rgba[:2, :, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "a.png")
    blank = PixelReader(PixelSettings(3)).blank(tmp_path / "a.png")
    assert blank is not None and blank.sum() == 24
    assert PixelReader(PixelSettings(4)).blank(tmp_path / "a.png") is None


def test_arrays_are_read_as_files_are() -> None:
    values = np.arange(20 * 10 * 5, dtype=np.uint16).reshape(20, 10, 5)
    read = PixelReader(PixelSettings((2, 3), "image", (0, 100))).of_array(values)
    assert read.shape == (20, 10, 2) and (read.min(), read.max()) == (0, 255)


def test_a_reader_reaches_worker_processes(tmp_path: Path) -> None:
    bands, _ = scene(0, (20, 20), 2)
    write_geotiff(tmp_path / "a.tif", bands)
    reader = PixelReader(PixelSettings(2, "image"))
    again = pickle.loads(pickle.dumps(reader))
    assert np.array_equal(again.image(tmp_path / "a.tif"), reader.image(tmp_path / "a.tif"))


def test_a_deep_png_is_turned_as_its_header_says(tmp_path: Path) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    values = np.random.default_rng(0).integers(0, 65535, (10, 20, 3)).astype(np.uint16)
    stored = imagecodecs.png_encode(values)
    tag = b"eXIf" + b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # orientation 6
    chunk = struct.pack(">I", len(tag) - 4) + tag + struct.pack(">I", zlib.crc32(tag))
    head = 8 + 25  # the signature, and the chunk of sizes
    (tmp_path / "a.png").write_bytes(stored[:head] + chunk + stored[head:])
    with open_raster(tmp_path / "a.png", {}) as raster:
        assert raster.size == raster_size(tmp_path / "a.png") == (20, 10)
        assert np.array_equal(raster.read([0, 1, 2]), np.rot90(values, -1))
