import numpy as np
import pytest
import torch

from semiseg.data.base import DatasetInfo, ImageSet, Resize, resized
from semiseg.data.loading import CropDataset, batches
from semiseg.data.resizing import ResizedImages, resize_image, resize_label
from semiseg.errors import SemisegError, UsageError


class Numbered(ImageSet):
    """Image i is i everywhere in red; green and blue are row and column; the label is the row."""

    info = DatasetInfo("numbered", tuple("abc"), ((0, 0, 0),) * 3)

    def __init__(self, count: int, size: tuple[int, int]) -> None:
        self.names, self.size, self.reads = [f"{i:03d}" for i in range(count)], size, 0

    def image(self, i: int) -> np.ndarray:
        self.reads += 1
        rows, columns = np.indices(self.size)
        return np.stack([np.full(self.size, i), rows, columns], -1).astype(np.uint8)

    def label(self, i: int) -> np.ndarray:
        return np.indices(self.size)[0].astype(np.uint8)

    def has_label(self, i: int) -> bool:
        return True


def test_crop_is_a_function_of_the_position_and_moves_the_label_along() -> None:
    images = Numbered(5, (40, 50))
    data = CropDataset(images, [4, 2, 0], (16, 24), seed=1, stream="labelled")
    items = [data[p] for p in range(30)]
    for position in (7, 3, 29):
        again = CropDataset(images, [4, 2, 0], (16, 24), seed=1, stream="labelled")[position]
        assert torch.equal(again["image"], items[position]["image"])
    for item in items:
        assert item["image"].shape == (3, 16, 24) and item["image"].dtype == torch.uint8
        assert item["label"].dtype == torch.int64
        assert torch.equal(item["image"][1].long(), item["label"])  # row for row
        assert (item["image"][0] == item["index"]).all()
    assert {item["index"] for item in items[:3]} == {0, 2, 4}
    assert len({(int(i["image"][1, 0, 0]), int(i["image"][2, 0, 0])) for i in items}) > 15


def test_small_images_are_padded_and_hidden_labels_are_ignored() -> None:
    item = CropDataset(Numbered(1, (10, 12)), [0], (16, 16), seed=0, stream="a")[0]
    assert (item["label"][10:] == 255).all() and (item["label"][:, 12:] == 255).all()
    assert (item["label"][:10, :12] != 255).all() and (item["image"][:, 10:] == 0).all()
    assert "inside" not in item
    padded = CropDataset(Numbered(1, (10, 12)), [0], (16, 16), seed=0, stream="a", use_labels=False)[0]["inside"]
    assert padded.shape == (16, 16) and padded[:10, :12].all() and padded.sum() == 10 * 12
    hidden = CropDataset(Numbered(1, (16, 16)), [0], (16, 16), seed=0, stream="a", use_labels=False)[0]
    assert hidden["inside"].all()
    assert (hidden["label"] == 255).all()


def test_cache_reads_each_image_once() -> None:
    images = Numbered(3, (20, 20))
    data = CropDataset(images, [0, 1, 2], (8, 8), seed=0, stream="a", cache=True)
    first = [data[p]["image"].clone() for p in range(9)]
    assert images.reads == 3
    assert all(torch.equal(data[p]["image"], first[p]) for p in range(9))


def test_batches_of_a_resumed_loader_and_of_two_ranks() -> None:
    data = CropDataset(Numbered(7, (20, 20)), range(7), (8, 8), seed=0, stream="a")
    whole = [b["image"] for b in batches(data, 4, 0, 5)]
    assert len(whole) == 5
    resumed = [b["image"] for b in batches(data, 4, 3, 5, workers=1)]
    assert all(torch.equal(a, b) for a, b in zip(whole[3:], resumed, strict=True))
    halves = [[b["image"] for b in batches(data, 2, 0, 5, rank=rank, world=2)] for rank in range(2)]
    for joint, first, second in zip(whole, *halves, strict=True):
        assert torch.equal(joint[:2], first) and torch.equal(joint[2:], second)
    later = [b["image"] for b in batches(data, 2, 3, 5, rank=1, world=2)]
    assert all(torch.equal(a, b) for a, b in zip(halves[1][3:], later, strict=True))


def test_resizing() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[:, 3:] = 200
    small = resize_image(image, (2, 2))
    assert small.shape == (2, 2, 3) and (small[:, 0] < 60).all() and (small[:, 1] > 140).all()
    assert resize_image(image, (4, 6)) is image
    assert resize_label(np.array([[1, 255], [255, 2]], np.uint8), (4, 4)).tolist()[0] == [1, 1, 255, 255]
    wrapped = ResizedImages(Numbered(2, (20, 30)), (10, 15))
    assert wrapped.image(1).shape == (10, 15, 3) and wrapped.label(1).shape == (20, 30)


def test_one_number_is_the_small_side_and_keeps_the_proportions() -> None:
    assert [resized(size, 10) for size in ((20, 30), (30, 20), (5, 7), (1000, 3))] == [
        (10, 15), (15, 10), (10, 14), (3333, 10),
    ]  # fmt: skip
    assert resized((20, 30), None) == (20, 30) and resized((20, 30), (4, 5)) == (4, 5)
    assert ResizedImages(Numbered(2, (20, 30)), 10).image(1).shape == (10, 15, 3)


@pytest.mark.parametrize("resize", [(10, 15), 10])
def test_crops_of_resized_images(resize: Resize) -> None:
    images = Numbered(2, (20, 30))
    item = CropDataset(images, [1], (10, 15), seed=0, stream="a", resize=resize)[0]
    assert np.array_equal(item["image"].numpy().transpose(1, 2, 0), resize_image(images.image(1), (10, 15)))
    assert np.array_equal(item["label"].numpy(), resize_label(images.label(1), (10, 15)))


@pytest.mark.parametrize(("size", "extent"), [((40, 50), (22, 32)), ((20, 50), (20, 32)), ((10, 12), (10, 12))])
@pytest.mark.parametrize("use_labels", [False, True])
def test_context_is_what_surrounds_the_crop_of_that_position(
    size: tuple[int, int], extent: tuple[int, int], use_labels: bool
) -> None:
    plain, wide = (
        CropDataset(Numbered(3, size), range(3), (16, 24), seed=1, stream="a", use_labels=use_labels, context=context)
        for context in (None, (22, 32))
    )
    for position in range(12):
        crop, item = plain[position], wide[position]
        assert item["index"] == crop["index"] and item["image"].shape == (3, 22, 32)
        (top, left), (rows, columns), shape = item["context"].tolist()
        assert (rows, columns) == extent and shape == [16, 24]
        for name in crop.keys() - {"index"}:
            assert torch.equal(item[name][..., top : top + 16, left : left + 24], crop[name]), name
        shown = item["image"][1:, :rows, :columns].long()
        assert torch.equal(shown[0].diff(dim=0), torch.ones(rows - 1, columns, dtype=torch.int64))
        assert torch.equal(shown[1].diff(dim=1), torch.ones(rows, columns - 1, dtype=torch.int64))
        assert (item["label"][rows:] == 255).all() and (item["label"][:, columns:] == 255).all()
        if not use_labels:
            assert item["inside"].sum() == rows * columns == item["inside"][:rows, :columns].sum()


def test_two_crops_come_without_context() -> None:
    with pytest.raises(UsageError, match=r"set data\.context=false"):
        CropDataset(Numbered(1, (20, 20)), [0], (8, 8), seed=0, stream="a", crops=2, context=(10, 10))


def test_every_window_can_be_cropped() -> None:
    data = CropDataset(Numbered(1, (6, 7)), [0], (5, 5), seed=0, stream="a")
    corners = {(int(i["image"][1, 0, 0]), int(i["image"][2, 0, 0])) for i in (data[p] for p in range(200))}
    assert corners == {(top, left) for top in range(2) for left in range(3)}


def test_streams_and_seeds_crop_apart() -> None:
    def corners(seed: int, stream: str) -> tuple[tuple[int, int], ...]:
        data = CropDataset(Numbered(1, (40, 40)), [0], (8, 8), seed=seed, stream=stream)
        return tuple((int(data[p]["image"][1, 0, 0]), int(data[p]["image"][2, 0, 0])) for p in range(8))

    assert len({corners(0, "labelled"), corners(0, "unlabelled"), corners(1, "labelled")}) == 3


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_leaves_the_global_random_state_alone(workers: int) -> None:
    before = torch.random.get_rng_state()
    list(batches(CropDataset(Numbered(3, (20, 20)), range(3), (8, 8), seed=0, stream="a"), 2, 0, 2, workers))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_masks_that_do_not_fit_and_empty_lists() -> None:
    class Misfit(Numbered):
        def label(self, i: int) -> np.ndarray:
            return np.zeros((20, 19), np.uint8)

    with pytest.raises(SemisegError, match=r"000: mask of \(20, 19\), image of \(20, 20\)"):
        CropDataset(Misfit(1, (20, 20)), [0], (8, 8), seed=0, stream="a", resize=(10, 10))[0]
    with pytest.raises(UsageError, match="no labelled image"):
        CropDataset(Numbered(1, (20, 20)), [], (8, 8), seed=0, stream="labelled")
