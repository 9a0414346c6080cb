"""What image files may hold, and what of it is content."""

import os
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semiseg.data.datasets.folder import open_folder
from semiseg.data.files import read_mask, read_rgb
from semiseg.data.loading import CropDataset
from semiseg.data.pictures import blank_pixels
from semiseg.errors import SemisegError
from semiseg.prediction.inputs import read_image

GREY, COLOUR, ALPHA = 0, 2, 6  # colour types of PNG


def write_png(path: Path, values: np.ndarray, bits: int, kind: int) -> None:
    """A PNG with ``bits`` a channel; values (H, W) or (H, W, channels)."""
    if bits == 16:
        rows = [b"\0" + row.astype(">u2").tobytes() for row in values]
    else:
        rows = [b"\0" + np.packbits(np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - bits :]).tobytes()
                for row in values]  # fmt: skip

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, kind, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def tiff16(path: Path, values: np.ndarray) -> None:
    """An uncompressed little-endian TIFF of 16-bit RGB values (H, W, 3)."""
    tags = [(256, 4, 1, values.shape[1]), (257, 4, 1, values.shape[0]), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2),
            (273, 4, 1, 14), (277, 3, 1, 3), (278, 4, 1, values.shape[0]), (279, 4, 1, values.size * 2)]  # fmt: skip
    data = values.astype("<u2").tobytes()
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + b"\0\0\0\0"
    path.write_bytes(b"II*\0" + struct.pack("<I", 14 + len(data)) + struct.pack("<HHH", 16, 16, 16) + data + directory)


@pytest.mark.parametrize("kind", ["rgb.png", "rgba.png", "rgb.tif"])
def test_16_bit_colours_are_refused_in_training_and_prediction(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    values = np.random.default_rng(0).integers(0, 4096, (5, 4, 4 if kind == "rgba.png" else 3))
    if kind == "rgb.tif":
        tiff16(path, values)
    else:
        write_png(path, values, 16, ALPHA if kind == "rgba.png" else COLOUR)
    for read in (read_rgb, read_image):
        with pytest.raises(SemisegError, match="holds 16-bit or floating-point values; convert it to 8 bits"):
            read(path)
    with pytest.raises(SemisegError, match="holds 16-bit colours"):
        read_mask(path)


def test_masks_whose_numbers_programs_read_differently_are_refused(tmp_path: Path) -> None:
    numbers = np.array([[0, 1], [2, 3]], np.uint8)
    for bits in (2, 4):
        write_png(tmp_path / "a.png", numbers, bits, GREY)
        with pytest.raises(SemisegError, match="fewer than 8 bits"):
            read_mask(tmp_path / "a.png")
    assert read_rgb(tmp_path / "a.png").max() == 3 * 17  # as brightness there is no doubt
    Image.fromarray(numbers).save(tmp_path / "white.tif", tiffinfo={262: 0})
    with pytest.raises(SemisegError, match="stores grey values inverted"):
        read_mask(tmp_path / "white.tif")
    write_png(tmp_path / "deep.png", numbers, 16, GREY)
    assert read_mask(tmp_path / "deep.png").tolist() == numbers.tolist()
    for suffix in ("png", "bmp", "tif"):
        for mode in ("L", "P"):
            Image.fromarray(numbers).convert(mode).save(tmp_path / f"plain.{suffix}")
            assert read_mask(tmp_path / f"plain.{suffix}").tolist() == numbers.tolist()
    Image.fromarray(numbers < 2).save(tmp_path / "two.png")
    assert read_mask(tmp_path / "two.png").tolist() == [[1, 1], [0, 0]]


def page(value: int) -> Image.Image:
    return Image.new("L", (4, 4), value)


@pytest.mark.parametrize("name", ["a.tif", "a.webp", "a.png"])
def test_several_pages_are_refused(tmp_path: Path, name: str) -> None:
    page(0).save(tmp_path / name, save_all=True, append_images=[page(100), page(200)])
    for read in (read_rgb, read_mask, read_image):
        with pytest.raises(SemisegError, match="holds 3 pages, of which one would be read"):
            read(tmp_path / name)


def test_overviews_are_no_pages_and_a_tiffs_own_mask_says_what_is_content(tmp_path: Path) -> None:
    valid = np.full((4, 4), 255, np.uint8)
    valid[0] = 0
    small, mask = Image.new("L", (2, 2)), Image.fromarray(valid)
    small.encoderinfo, mask.encoderinfo = {"tiffinfo": {254: 1}}, {"tiffinfo": {254: 4}}
    page(9).save(tmp_path / "a.tif", save_all=True, append_images=[small, mask])
    assert (read_rgb(tmp_path / "a.tif") == 9).all()
    blank = blank_pixels(tmp_path / "a.tif")
    assert blank is not None and blank.tolist() == (valid == 0).tolist()


@pytest.mark.parametrize("kind", ["fifo", "socket", "folder"])
def test_what_is_no_file_is_refused_and_does_not_hang(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as server:
            monkeypatch.chdir(tmp_path)  # the path of a socket may have 107 bytes
            server.bind("a.png")
    for read in (read_rgb, read_mask, read_image):
        with pytest.raises(SemisegError, match="is a folder, pipe, socket or device, not an image file"):
            read(path)


def blank_corner() -> np.ndarray:
    blank = np.zeros((6, 8), bool)
    blank[:2, :3] = True
    return blank


def save_with_blanks(path: Path, kind: str) -> None:
    blank = blank_corner()
    grey = np.where(blank, 7, 100).astype(np.uint8)
    if kind == "alpha":
        Image.merge("LA", [Image.fromarray(grey), Image.fromarray(np.where(blank, 0, 30).astype(np.uint8))]).save(path)
    elif kind == "rgba":
        alpha = np.where(blank, 0, 255)
        Image.fromarray(np.dstack([grey, grey, grey, alpha]).astype(np.uint8)).save(path)
    elif kind == "palette":
        image = Image.fromarray(grey).convert("P")
        image.save(path, transparency=int(np.array(image)[0, 0]))
    elif kind == "colour":
        Image.fromarray(np.dstack([grey] * 3)).save(path, transparency=(7, 7, 7))
    else:
        Image.fromarray(np.dstack([grey] * 3)).save(path, tiffinfo={42113: "7"})


@pytest.mark.parametrize("kind", ["alpha", "rgba", "palette", "colour", "no data"])
def test_transparent_and_no_data_pixels_are_ignored(tmp_path: Path, kind: str) -> None:
    suffix = ".tif" if kind == "no data" else ".png"
    for name in "abc":
        for part in ("images", "masks"):
            (tmp_path / part).mkdir(exist_ok=True)
        save_with_blanks(tmp_path / "images" / f"{name}{suffix}", kind)
        if name != "c":
            Image.fromarray(np.ones((6, 8), np.uint8)).save(tmp_path / "masks" / f"{name}.png")
    (tmp_path / "dataset.yaml").write_text("classes: [x, y]\n")
    train, expected = open_folder(tmp_path, "train"), blank_corner()
    labelled, unlabelled = (next(i for i in range(2) if train.has_label(i) == has) for has in (True, False))
    np.testing.assert_array_equal(train.label(labelled), np.where(expected, 255, 1))
    for resize in (None, (12, 16)):
        options = {"resize": resize, "cache": True}
        grown = expected if resize is None else expected.repeat(2, 0).repeat(2, 1)
        item = CropDataset(train, [labelled], grown.shape, 0, "labelled", **options)[0]
        np.testing.assert_array_equal(item["label"].numpy(), np.where(grown, 255, 1))
        bare = CropDataset(train, [unlabelled], grown.shape, 0, "unlabelled", use_labels=False, **options)
        for _ in range(2):  # the second from the cache
            np.testing.assert_array_equal(bare[0]["inside"].numpy(), ~grown)
        pair = CropDataset(train, [labelled], grown.shape, 0, "pairs", crops=2, overlap=0.5, **options)[0]
        np.testing.assert_array_equal(pair["inside"][0].numpy(), ~grown)


def test_images_without_blanks_have_none(tmp_path: Path) -> None:
    grey = np.full((6, 8), 9, np.uint8)
    Image.fromarray(grey).save(tmp_path / "a.png")
    Image.fromarray(np.dstack([grey] * 4)).save(tmp_path / "b.png")  # partly transparent counts
    Image.fromarray(grey).save(tmp_path / "c.tif", tiffinfo={42113: "nan"})
    assert [blank_pixels(tmp_path / name) for name in ("a.png", "b.png", "c.tif")] == [None] * 3


def test_transparent_pixels_of_a_coloured_mask_are_black(tmp_path: Path) -> None:
    values = np.zeros((2, 2, 4), np.uint8)
    values[..., 0], values[0, :, 3] = 200, 255
    Image.fromarray(values).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png")[:, 0].tolist() == [[200, 0, 0], [0, 0, 0]]
