import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semiseg.errors import SemisegError, UsageError
from semiseg.prediction import inputs as image_files
from semiseg.prediction.inputs import as_image, find_images, read_image

PICTURE = np.random.default_rng(0).integers(0, 256, (300, 7, 3)).astype(np.uint8)


def test_videos_are_taken_where_they_are_named(tmp_path: Path) -> None:
    for name in ("a.png", "b.MP4", "c.mov"):
        (tmp_path / name).touch()
    names = lambda found: [path.name for path in found]  # noqa: E731
    assert names(find_images(tmp_path)) == ["a.png"]
    assert names(find_images(tmp_path / "b.MP4")) == ["b.MP4"]
    assert names(find_images(str(tmp_path / "*"))) == ["a.png", "b.MP4", "c.mov"]
    (tmp_path / "a.png").unlink()
    with pytest.raises(SemisegError, match=r"no images in .* to predict its 2 videos name them, e\.g\. .*b\.MP4"):
        find_images(tmp_path)


@pytest.mark.parametrize("kind", ["path", "text", "pil", "array", "bytes", "floats", "half", "contiguous"])
def test_every_kind_of_image_is_the_same_array(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(PICTURE).save(path)
    tensor = torch.from_numpy(PICTURE).permute(2, 0, 1)
    given = {
        "path": path, "text": str(path), "pil": Image.fromarray(PICTURE), "array": PICTURE, "bytes": tensor,
        "floats": (tensor.float() / 255).requires_grad_(), "half": tensor.double() / 255,
        "contiguous": tensor.contiguous(),
    }  # fmt: skip
    found = as_image(given[kind])
    assert found.dtype == np.uint8 and np.array_equal(found, PICTURE)


def test_grey_and_turned_pictures_become_upright_rgb() -> None:
    grey = PICTURE[..., 0]
    expected = np.stack([grey] * 3, axis=2)
    assert np.array_equal(as_image(grey), expected) and np.array_equal(as_image(Image.fromarray(grey)), expected)
    turned = Image.fromarray(PICTURE)
    turned.getexif()[0x0112] = 6  # show it rotated by 90 degrees clockwise
    assert np.array_equal(as_image(turned), np.rot90(PICTURE, -1))
    assert turned.size == (7, 300), "what was given stays as it is"
    assert as_image(Image.fromarray(PICTURE).convert("RGBA")).shape == PICTURE.shape


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (PICTURE.astype(float), "uint8"),
        (PICTURE[..., :2], "uint8"),
        (PICTURE[:0], "uint8"),
        (torch.zeros(1, 3, 4, 4), "one by one"),
        (torch.zeros(4, 4, 3), "one image"),
        (torch.full((3, 4, 4), 1.5), "undo its normalisation"),
        (torch.full((3, 4, 4), float("nan")), "undo its normalisation"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "uint8"),
        (Image.fromarray(np.zeros((3, 4), np.uint16)), "the PIL image holds 16-bit"),
        (7, "not int"),
    ],
)
def test_what_is_no_image_is_refused(image: object, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        as_image(image)  # type: ignore[arg-type]


def test_pillows_limit_holds_unless_any_size_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # beyond twice as many it refuses
    with pytest.raises(SemisegError, match=r"a\.png cannot be read .*exceeds limit"):
        read_image(tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(read_image(tmp_path / "a.png", any_size=True), PICTURE)
    assert Image.MAX_IMAGE_PIXELS == 1000
    with image_files._any_size():  # two readers at once, the first of them done first
        second = image_files._any_size()
        second.__enter__()
    assert Image.MAX_IMAGE_PIXELS is None
    second.__exit__(None, None, None)
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_a_picture_cut_off_is_told_and_an_array_is_copied(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-200])
    with pytest.raises(SemisegError, match="the PIL image cannot be read: "):
        as_image(Image.open(tmp_path / "a.jpg"))
    for given in (PICTURE.copy(), torch.from_numpy(PICTURE.copy()).permute(2, 0, 1)):
        found = as_image(given)
        given[:] = 0  # as a camera's next frame
        assert np.array_equal(found, PICTURE)
