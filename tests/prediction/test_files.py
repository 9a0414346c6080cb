from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from semiseg.data.base import DatasetInfo
from semiseg.errors import SemisegError, UsageError
from semiseg.inference.plan import InferencePlan
from semiseg.prediction.files import find_images, predict_array, predict_files, read_image

COLOURS = ((200, 10, 20), (30, 210, 40), (50, 60, 220))
INFO = DatasetInfo("dots", ("red", "green", "blue"), COLOURS)


class FakeOutput(NamedTuple):
    logits: Tensor
    features: Tensor


class Colours(nn.Module):
    """The logits are the image's three channels: red, green and blue pixels are classes 0, 1 and 2."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, images: Tensor) -> FakeOutput:
        assert not self.training and images.max() <= 1
        self.calls += 1
        return FakeOutput(images, images)


def save(path: Path, classes: np.ndarray, **options: object) -> np.ndarray:
    """Write a picture of pure red, green and blue pixels; returns it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = (np.eye(3, dtype=np.uint8) * 255)[classes]
    Image.fromarray(image).save(path, **options)
    return image


def random_classes(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, (height, width)).astype(np.uint8)


# ---- finding


def test_find_images_in_files_folders_and_globs(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "c.tif", "notes.txt", "._a.jpg", "sub/d.webp", "sub/e.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = lambda found: [str(p.relative_to(tmp_path)) for p in found]  # noqa: E731
    assert names(find_images(tmp_path)) == ["a.JPG", "b.png", "c.tif"]
    assert names(find_images([str(tmp_path / "sub" / "*.webp"), tmp_path])) == [
        "sub/d.webp",
        "a.JPG",
        "b.png",
        "c.tif",
    ]
    assert names(find_images(str(tmp_path / "**" / "*"))) == [
        "a.JPG",
        "b.png",
        "c.tif",
        "sub/d.webp",
        "sub/e.jpeg",
    ]
    assert names(find_images([tmp_path / "b.png", tmp_path, tmp_path / "notes.txt"])) == [
        "b.png", "a.JPG", "c.tif", "notes.txt",
    ]  # fmt: skip


def test_find_images_keeps_names_with_glob_characters(tmp_path: Path) -> None:
    (tmp_path / "shot[1].png").touch()
    assert find_images(tmp_path / "shot[1].png") == [tmp_path / "shot[1].png"]


def test_find_images_errors(tmp_path: Path) -> None:
    with pytest.raises(SemisegError, match="does not exist"):
        find_images([tmp_path / "missing.png"])
    (tmp_path / "notes.txt").touch()
    for inputs in (tmp_path, str(tmp_path / "*.png"), []):
        with pytest.raises(SemisegError, match="no images in"):
            find_images(inputs)


# ---- one image


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (16, 9)])
@pytest.mark.parametrize("mode", ["whole", "sliding"])
def test_predict_array(size: tuple[int, int], mode: str) -> None:
    classes = random_classes(*size)
    image = (np.eye(3, dtype=np.uint8) * 255)[classes]
    network = Colours().train()
    predicted = predict_array(network, image, mode=mode, window=(5, 5))
    assert predicted.dtype == np.uint8 and np.array_equal(predicted, classes)
    assert network.training
    assert np.array_equal(predict_array(network, image[:, ::-1]), classes[:, ::-1])  # a negative stride


def test_predict_array_refuses_floats() -> None:
    with pytest.raises(UsageError, match="uint8"):
        predict_array(Colours(), np.zeros((2, 2, 3)))


def test_read_image_turns_by_exif_and_makes_grey_and_palette_rgb(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    stored = save(tmp_path / "turned.png", random_classes(3, 5), exif=exif)
    assert np.array_equal(read_image(tmp_path / "turned.png"), np.rot90(stored, -1))
    Image.fromarray(np.full((2, 3), 7, np.uint8)).save(tmp_path / "grey.png")
    assert np.array_equal(read_image(tmp_path / "grey.png"), np.full((2, 3, 3), 7))
    Image.fromarray(np.full((2, 3), 700, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(SemisegError, match="8 bits"):
        read_image(tmp_path / "deep.png")


# ---- files


def test_masks_and_overlays_round_trip(tmp_path: Path) -> None:
    expected = {"a": random_classes(7, 13, 1), "b": random_classes(10, 4, 2)}
    images = {stem: save(tmp_path / "in" / f"{stem}.png", classes) for stem, classes in expected.items()}
    steps: list[tuple[int, int]] = []
    predicted, failed = predict_files(
        Colours(), INFO, tmp_path / "in", tmp_path / "out", progress=lambda *step: steps.append(step)
    )
    assert failed == [] and [p.path.stem for p in predicted] == ["a", "b"] and steps == [(1, 2), (2, 2)]
    for found in predicted:
        classes = expected[found.path.stem]
        assert found.mask_path == tmp_path / "out" / "masks" / f"{found.path.stem}.png"
        with Image.open(found.mask_path) as mask:
            assert mask.mode == "P"
            assert np.array_equal(np.array(mask), classes)
            assert np.array_equal(np.array(mask.convert("RGB")), np.array(COLOURS, dtype=np.uint8)[classes])
        assert found.overlay_path == tmp_path / "out" / "overlays" / f"{found.path.stem}.png"
        blended = np.array(Image.open(found.overlay_path)).astype(float)
        assert np.abs(blended - (images[found.path.stem] / 2 + np.array(COLOURS)[classes] / 2)).max() <= 0.5
        assert found.shares == pytest.approx({name: (classes == c).mean() for c, name in enumerate(INFO.classes)})


def test_a_turned_photo_gives_a_turned_mask(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    classes = random_classes(4, 9)
    save(tmp_path / "a.png", classes, exif=exif)
    predicted, _ = predict_files(Colours(), INFO, tmp_path / "a.png", tmp_path / "out")
    assert np.array_equal(np.array(Image.open(predicted[0].mask_path)), np.rot90(classes, -1))


def test_without_overlays_only_masks_are_written(tmp_path: Path) -> None:
    save(tmp_path / "a.png", random_classes(3, 3))
    predicted, _ = predict_files(Colours(), INFO, tmp_path / "a.png", tmp_path / "out", overlay=False)
    assert predicted[0].overlay_path is None
    assert sorted(p.name for p in (tmp_path / "out").rglob("*")) == ["a.png", "masks", "shares.csv"]


def test_unreadable_files_are_skipped_and_reported(tmp_path: Path) -> None:
    save(tmp_path / "in" / "c.png", random_classes(5, 5))
    (tmp_path / "in" / "a.png").write_text("no image")
    whole = (tmp_path / "in" / "c.png").read_bytes()
    (tmp_path / "in" / "b.png").write_bytes(whole[: len(whole) * 2 // 3])
    predicted, failed = predict_files(Colours(), INFO, tmp_path / "in", tmp_path / "out")
    assert [p.path.name for p in predicted] == ["c.png"]
    assert [f.path.name for f in failed] == ["a.png", "b.png"]
    assert all("cannot be read" in f.reason and "\n" not in f.reason for f in failed)
    assert [p.name for p in sorted((tmp_path / "out" / "masks").iterdir())] == ["c.png"]


def test_an_image_too_large_for_the_memory_is_skipped(tmp_path: Path) -> None:
    class Narrow(Colours):
        def forward(self, images: Tensor) -> FakeOutput:
            if images.shape[-1] > 6:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(images)

    save(tmp_path / "in" / "a.png", random_classes(4, 8))
    save(tmp_path / "in" / "b.png", random_classes(4, 5))
    predicted, failed = predict_files(Narrow(), INFO, tmp_path / "in", tmp_path / "out")
    assert [p.path.name for p in predicted] == ["b.png"]
    assert "8x4" in failed[0].reason and "--tile" in failed[0].reason
    assert not predict_files(Narrow(), INFO, tmp_path / "in", tmp_path / "o2", plan=InferencePlan("sliding", (4, 6)))[1]
    assert not predict_files(Narrow(), INFO, tmp_path / "in", tmp_path / "o3", plan=InferencePlan(tile=6))[1]


@pytest.mark.parametrize("kept", ["masks/a.png", "overlays/b.png"])
def test_existing_output_is_not_overwritten_silently(tmp_path: Path, kept: str) -> None:
    for stem in "ab":
        save(tmp_path / "in" / f"{stem}.png", random_classes(3, 4))
    mine = tmp_path / "out" / kept
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    network = Colours()
    with pytest.raises(SemisegError, match=kept):
        predict_files(network, INFO, tmp_path / "in", tmp_path / "out")
    assert network.calls == 0 and mine.read_text() == "mine"
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == [mine]
    predict_files(network, INFO, tmp_path / "in", tmp_path / "out", overwrite=True)
    assert Image.open(mine).size == (4, 3)


def test_images_of_one_stem_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.png", random_classes(3, 4))
    save(tmp_path / "in" / "a.jpg", random_classes(3, 4))
    with pytest.raises(SemisegError, match=r"a\.jpg and .*a\.png would both be written to"):
        predict_files(Colours(), INFO, tmp_path / "in", tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out").exists()


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    save(tmp_path / "masks" / "a.png", random_classes(3, 4))
    before = (tmp_path / "masks" / "a.png").read_bytes()
    with pytest.raises(SemisegError, match="is itself one of the images"):
        predict_files(Colours(), INFO, tmp_path / "masks", tmp_path, overwrite=True)
    assert (tmp_path / "masks" / "a.png").read_bytes() == before


def test_output_that_is_a_file_and_wrong_mode_are_errors(tmp_path: Path) -> None:
    save(tmp_path / "a.png", random_classes(3, 4))
    with pytest.raises(SemisegError, match="output folder"):
        predict_files(Colours(), INFO, tmp_path / "a.png", tmp_path / "a.png")
    with pytest.raises(UsageError, match="whole, sliding"):
        predict_files(Colours(), INFO, tmp_path / "a.png", tmp_path / "out", plan=InferencePlan("tiles"))


def test_a_network_of_another_data_set_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.full((3, 4), 2, np.uint8))
    two = DatasetInfo("two", ("red", "green"), COLOURS[:2])
    with pytest.raises(SemisegError, match="predicts class 2, but two has 2 classes"):
        predict_files(Colours(), two, tmp_path / "a.png", tmp_path / "out")
