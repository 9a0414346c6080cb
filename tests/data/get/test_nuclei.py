"""The nuclei of the Data Science Bowl, from a small archive of the same structure at an address of our own."""

import hashlib
import io
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from semiseg.cli import app
from semiseg.data.datasets.folder import open_folder
from semiseg.data.get import get_nuclei, nuclei
from semiseg.errors import SemisegError, UsageError

COUNT = 9
LARGE = 3  # number of the image that is wider than 400 pixels


def png(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def name(i: int) -> str:
    return hashlib.sha256(f"image {i}".encode()).hexdigest()


def masks(size: tuple[int, int]) -> list[np.ndarray]:
    """Two squares of 8 pixels that touch, the second at the image's left edge in its last row; one mask is empty."""
    first, second = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    first[4:12, 8:16] = 255
    second[12:20, 8:16] = 255
    return [first, second, np.zeros(size, np.uint8)]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Address and checksum of the archive; the cache is empty."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    path = tmp_path / "stage1_train.zip"
    with ZipFile(path, "w") as file:
        for i in range(COUNT):
            size = (20, 402) if i == LARGE else (20, 24)
            rgba = np.full((*size, 4), 255, np.uint8)
            rgba[..., 0] = i
            file.writestr(f"{name(i)}/images/{name(i)}.png", png(rgba))
            for k, mask in enumerate(masks(size)):
                file.writestr(f"{name(i)}/masks/{k}.png", png(mask))
    return {"address": path.as_uri(), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def stems(folder: Path, part: str, split: str) -> set[str]:
    return {path.stem for path in (folder / part / split).iterdir()}


def test_every_image_comes_with_its_mask_into_one_split(archive: dict[str, str], tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    got = get_nuclei(tmp_path / "nuclei", progress=lambda *done: told.append(done), **archive)
    assert (got.train, got.val) == (7, 2) and told == [(i, COUNT) for i in range(1, COUNT + 1)]
    assert got.archive.is_file() and got.archive.is_relative_to(tmp_path / "hub")
    train, val = (open_folder(got.folder, split) for split in ("train", "val"))
    assert train.info.classes == ("background", "nucleus", "border")
    assert {*train.names, *val.names} == {name(i)[:12] for i in range(COUNT)}
    for images in (train, val):
        for i, stem in enumerate(images.names):
            red = next(k for k in range(COUNT) if name(k).startswith(stem))
            label = images.label(i)
            assert label is not None and images.image(i).shape[:2] == label.shape
            assert (images.image(i) == [red, 255, 255]).all()


def test_the_two_outer_pixels_of_each_nucleus_are_border(archive: dict[str, str], tmp_path: Path) -> None:
    folder = get_nuclei(tmp_path / "nuclei", **archive).folder
    expected = np.zeros((20, 24), np.uint8)
    for top in (4, 12):
        expected[top : top + 8, 8:16] = 2
        expected[top + 2 : top + 6, 10:14] = 1
    (path,) = (folder / "masks").rglob(f"{name(0)[:12]}.png")
    assert np.array_equal(np.array(Image.open(path)), expected)


def test_outer_pixels_are_counted_in_steps_up_down_left_and_right() -> None:
    mask = np.zeros((9, 9), bool)
    mask[1:8, 1:8] = True
    mask[1, 1] = False  # the step from there to (3, 3) is two down and two right: too far
    core = mask & ~nuclei.outer_pixels(mask, 2)
    expected = np.zeros_like(mask)
    expected[3:6, 3:6] = True
    assert np.array_equal(core, expected)
    assert nuclei.outer_pixels(np.ones((4, 4), bool), 2).all()  # beyond the edges is outside


def test_large_images_are_halved(archive: dict[str, str], tmp_path: Path) -> None:
    folder = get_nuclei(tmp_path / "nuclei", **archive).folder
    for part in ("images", "masks"):
        (path,) = (folder / part).rglob(f"{name(LARGE)[:12]}.png")
        assert Image.open(path).size == (201, 10)
    assert set(np.unique(np.array(Image.open(path)))) == {0, 1, 2}


def test_fewer_images_are_the_first_and_keep_their_split(archive: dict[str, str], tmp_path: Path) -> None:
    whole = get_nuclei(tmp_path / "whole", **archive).folder
    few = get_nuclei(tmp_path / "few", 4, **archive)
    assert (few.train, few.val) == (3, 1)
    for part in ("images", "masks"):
        for split in ("train", "val"):
            assert stems(few.folder, part, split) < stems(whole, part, split)
    with pytest.raises(UsageError, match="--images 3: choose at least 4"):
        get_nuclei(tmp_path / "none", 3, **archive)


def test_a_folder_that_exists_is_not_overwritten(archive: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(UsageError, match="nothing is overwritten"):
        get_nuclei(tmp_path / "mine", **archive)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_without_a_network_one_line_says_what_to_do_and_a_copy_by_hand_is_taken(
    archive: dict[str, str], tmp_path: Path
) -> None:
    away = {"address": "http://127.0.0.1:9/stage1_train.zip", "sha256": archive["sha256"]}
    with pytest.raises(SemisegError) as caught:
        get_nuclei(tmp_path / "nuclei", **away)
    place = tmp_path / "hub" / "datasets" / "stage1_train.zip"
    assert f"save a copy from elsewhere as {place}, and run the same command again" in str(caught.value)
    assert not (tmp_path / "nuclei").exists()
    place.write_bytes((tmp_path / "stage1_train.zip").read_bytes()[:-1])
    with pytest.raises(SemisegError, match="delete the file and try again"):
        get_nuclei(tmp_path / "nuclei", **away)
    place.write_bytes((tmp_path / "stage1_train.zip").read_bytes())
    assert get_nuclei(tmp_path / "nuclei", **away).train == 7


def test_the_command(archive: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nuclei.get_nuclei, "__kwdefaults__", archive)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["data", "get", "nuclei", "--images", "5"])
    assert done.exit_code == 0, done.stderr
    assert "4 images to train on and 1 for validation in nuclei" in done.stdout
    assert "next: semiseg data check nuclei data.labelled=1 data.crop=128" in done.stdout
    again = CliRunner().invoke(app, ["data", "get", "nuclei"])
    assert again.exit_code == 2 and "nuclei exists" in again.stderr
    other = CliRunner().invoke(app, ["data", "get", "nuclie", "--output", "other"])
    assert other.exit_code == 2 and "nuclie" in other.stderr and "did you mean 'nuclei'?" in other.stderr
