"""Images of more than 8 bits are brought to 8 by one mapping, which is told."""

from pathlib import Path

import numpy as np
import pytest
from exports import expect, photo
from PIL import Image

from semiseg.data.convert import convert, depth
from semiseg.errors import SemisegError


def deep(root: Path, values: dict[str, int], kind: type = np.uint16) -> Path:
    photo(root / "images" / "plain.png")
    for name, highest in values.items():
        picture = np.zeros((20, 30), kind)
        picture[0] = highest
        Image.fromarray(picture).save(root / "images" / f"{name}.tif")
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(expect((1, slice(0, 5), slice(0, 5)))).save(root / "masks" / f"{name}.png")
    return root


@pytest.mark.parametrize(("highest", "bits"), [(1000, 10), (4000, 12), (16000, 14), (40000, 16)])
def test_all_are_divided_by_the_same(tmp_path: Path, highest: int, bits: int) -> None:
    done = convert(deep(tmp_path / "in", {"a": highest, "b": 500}), "colour", tmp_path / "out")
    step = 2 ** (bits - 8)
    assert any(f"are taken for {bits} bits and brought to 8: the values are divided by {step}" in n for n in done.notes)
    for name, value in (("a", highest), ("b", 500)):
        with Image.open(tmp_path / "out" / "images" / f"{name}.png") as image:
            assert image.mode == "L" and np.array(image)[0, 0] == value // step
    with Image.open(tmp_path / "out" / "images" / "plain.png") as image:
        assert image.mode == "RGB"


def test_floating_point_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SemisegError, match=r"a\.tif holds floating-point values"):
        convert(deep(tmp_path / "in", {"a": 1}, np.float32), "colour", tmp_path / "out")


def test_a_damaged_image_of_16_bits_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 4000, (64, 64)).astype(np.uint16)
    Image.fromarray(noise).save(tmp_path / "a.png")
    raw = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(SemisegError, match=r"a.png cannot be read as an image"):
        depth.read_deep(tmp_path / "a.png")
