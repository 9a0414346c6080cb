"""Crops in pairs, and crops with pseudo-labels from disk, out of one :class:`CropDataset`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from semiseg.data.base import DatasetInfo, ImageSet, resized
from semiseg.data.loading import CropDataset, batches
from semiseg.data.resizing import resize_label
from semiseg.data.stored_labels import StoredLabels
from semiseg.data.windows import Window, common
from semiseg.errors import SemisegError, UsageError

SIZE = (30, 44)


class Noise(ImageSet):
    """Random pixels, so that two crops agree only where they show the same; the masks may be forbidden to read."""

    info = DatasetInfo("noise", tuple("abc"), ((0, 0, 0),) * 3)

    def __init__(self, count: int, size: tuple[int, int] = SIZE, hidden: bool = False) -> None:
        self.names, self.size, self.hidden = [f"{i:03d}" for i in range(count)], size, hidden

    def image(self, i: int) -> np.ndarray:
        return np.random.default_rng(i).integers(1, 256, (*self.size, 3), dtype=np.uint8)

    def label(self, i: int) -> np.ndarray:
        assert not self.hidden, "a hidden mask was read"
        return np.random.default_rng(100 + i).integers(0, 3, self.size, dtype=np.uint8)

    def has_label(self, i: int) -> bool:
        return True


@pytest.fixture
def stored(tmp_path: Path) -> StoredLabels:
    """Pseudo-labels of four images: other classes than the masks', and a confidence that tells pixels apart."""
    stored = StoredLabels(tmp_path / "labels")
    for i in range(4):
        labels = np.random.default_rng(200 + i).integers(10, 20, SIZE, dtype=np.uint8)
        stored.write(i, labels, np.linspace(0.25, 1, labels.size).reshape(SIZE))
    return stored


def windows(item: dict[str, torch.Tensor], crop: tuple[int, int]) -> Iterator[Window]:
    return (Window(top, left, *crop) for top, left in item["corner"].tolist())


@pytest.mark.parametrize("crop", [(16, 20), (40, 20), (16, 60), (40, 60)])  # padded below, on the right, both
@pytest.mark.parametrize("use_labels", [True, False])
def test_two_crops_agree_where_they_overlap(crop: tuple[int, int], use_labels: bool) -> None:
    data = CropDataset(Noise(3), range(3), crop, 1, "a", crops=2, overlap=0.4, use_labels=use_labels)
    for position in range(12):
        item = data[position]
        assert item["image"].shape == (2, 3, *crop) and item["image"].dtype == torch.uint8
        assert item["label"].shape == item["inside"].shape == (2, *crop)
        assert item["label"].dtype == torch.int64 and item["inside"].dtype == torch.bool
        assert item["corner"].shape == (2, 2) and item["corner"].dtype == torch.int64
        assert "confidence" not in item and isinstance(item["index"], int)
        one, two = common(*windows(item, crop))
        for name in ("image", "label", "inside"):
            pair = item[name]
            assert torch.equal(pair[0][(..., *one)], pair[1][(..., *two)])
            assert pair[0][(..., *one)].numel() >= 0.4 * pair[0].numel()
        beyond = ~item["inside"]
        assert (item["label"][beyond] == 255).all() and (item["image"].amax(dim=1)[beyond] == 0).all()
        assert (item["image"].amin(dim=1)[~beyond] > 0).all()
        same = torch.equal(item["corner"][0], item["corner"][1])
        assert same == (crop == (40, 60))


def test_the_first_of_two_crops_is_the_single_one_at_that_position() -> None:
    alone = CropDataset(Noise(3), range(3), (16, 20), 1, "a", use_labels=False)
    pairs = CropDataset(Noise(3), range(3), (16, 20), 1, "a", use_labels=False, crops=2, overlap=0.4)
    for position in range(12):
        single, pair = alone[position], pairs[position]
        assert single.keys() == pair.keys() - {"corner"} and single["index"] == pair["index"]
        assert all(torch.equal(single[name], pair[name][0]) for name in ("image", "label", "inside"))


def test_corners_are_those_in_the_resized_image() -> None:
    data = CropDataset(Noise(1), [0], (8, 8), 0, "a", resize=(9, 10), crops=2)
    corners = torch.cat([data[position]["corner"] for position in range(60)])
    assert corners.amin(0).tolist() == [0, 0] and corners.amax(0).tolist() == [1, 2]


def test_pairs_in_batches() -> None:
    data = CropDataset(Noise(3), range(3), (16, 20), 1, "a", crops=2)
    batch = next(iter(batches(data, 3, 0, 1)))
    assert batch["image"].shape == (3, 2, 3, 16, 20) and batch["corner"].shape == (3, 2, 2)
    assert torch.equal(batch["label"][1], data[1]["label"])


def test_numbers_of_crops_and_overlaps_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="3 crops of an image; choose 1 or 2"):
        CropDataset(Noise(1), [0], (8, 8), 0, "a", crops=3)
    with pytest.raises(UsageError, match=r"share 0\.9 of their area"):
        CropDataset(Noise(1), [0], (8, 8), 0, "a", crops=2, overlap=0.9)


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("resize", [None, (20, 31), 20])
def test_stored_labels_are_cut_at_the_window_of_the_image(
    stored: StoredLabels, resize: tuple[int, int] | int | None, cache: bool
) -> None:
    images = Noise(4, hidden=True)
    plain = CropDataset(images, range(4), (16, 20), 1, "a", resize=resize, use_labels=False)
    data = CropDataset(images, range(4), (16, 20), 1, "a", resize=resize, cache=cache, stored=stored)
    corners = CropDataset(images, range(4), (16, 20), 1, "a", resize=resize, use_labels=False, crops=2)
    for position in range(12):
        item, bare = data[position], plain[position]
        assert torch.equal(item["image"], bare["image"]) and torch.equal(item["inside"], bare["inside"])
        window = next(windows(corners[position], (16, 20)))
        labels, confidence = stored.read(item["index"])
        if resize is not None:
            size = resized((labels.shape[0], labels.shape[1]), resize)
            labels, confidence = resize_label(labels, size), resize_label(confidence, size)
        assert item["label"].dtype == torch.int64 and item["confidence"].dtype == torch.float32
        assert np.array_equal(item["label"].numpy(), window.cut(labels, 255))
        assert np.array_equal(item["confidence"].numpy(), window.cut(confidence, 0))


def test_stored_labels_on_padding_and_in_pairs(stored: StoredLabels) -> None:
    item = CropDataset(Noise(4, hidden=True), range(4), (40, 60), 1, "a", stored=stored)[0]
    beyond = ~item["inside"]
    assert beyond.sum() == 40 * 60 - 30 * 44
    assert (item["label"][beyond] == 255).all() and (item["confidence"][beyond] == 0).all()
    assert (item["label"][~beyond] < 20).all() and (item["confidence"][~beyond] > 0.2).all()
    pair = CropDataset(Noise(4, hidden=True), range(4), (16, 20), 1, "a", stored=stored, crops=2, overlap=0.5)[0]
    one, two = common(*windows(pair, (16, 20)))
    for name in ("label", "confidence"):
        assert pair[name].shape == (2, 16, 20)
        assert torch.equal(pair[name][0][one], pair[name][1][two])


def test_the_labels_of_a_later_round_are_seen(stored: StoredLabels) -> None:
    data = CropDataset(Noise(4), [2], SIZE, 1, "a", cache=True, stored=stored)
    assert (data[0]["label"] >= 10).all()
    stored.write(2, np.full(SIZE, 1, np.uint8), np.full(SIZE, 0.5))
    assert (data[0]["label"] == 1).all() and (data[0]["confidence"] == 0.5).all()


def test_stored_labels_that_are_missing_or_of_other_images(stored: StoredLabels) -> None:
    with pytest.raises(SemisegError, match=r"000004\.npz: no pseudo-labels are stored for image 4"):
        CropDataset(Noise(5), [4], (8, 8), 1, "a", stored=stored)[0]
    with pytest.raises(SemisegError, match=r"001: pseudo-labels of \(30, 44\), image of \(30, 40\).* train anew"):
        CropDataset(Noise(4, (30, 40)), [1], (8, 8), 1, "a", stored=stored)[0]
