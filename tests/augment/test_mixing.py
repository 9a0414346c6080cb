"""ClassMix and CutMix masks, and pasting, against their definitions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semiseg.augment.mixing import classmix_masks, cutmix_masks, paste
from semiseg.errors import UsageError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 7),
    st.integers(1, 12),
    st.sampled_from(["half", "reference"]),
    st.booleans(),
    st.integers(0, 10_000),
)
def test_classmix_against_a_plain_model(
    batch: int, classes: int, pixels: int, rule: str, without: bool, seed: int
) -> None:
    """Whole classes, as many as the rule says, of those present, neither ignored nor excluded."""
    labels = torch.randint(0, classes + 1, (batch, 1, pixels), generator=seeded(seed))
    labels[labels == classes] = 255
    exclude = seed % classes if without else None
    masks = classmix_masks(labels, classes, seeded(seed + 1), rule=rule, exclude=exclude)
    assert masks.shape == labels.shape and masks.dtype == torch.bool
    for image, mask in zip(labels.flatten(1).tolist(), masks.flatten(1).tolist(), strict=True):
        present = set(image) - {255, exclude}
        chosen = {label for label, inside in zip(image, mask, strict=True) if inside}
        n = len(present)
        assert len(chosen) == (math.ceil(n / 2) if rule == "half" else min(n, n // 2 + 1))
        assert chosen <= present
        assert mask == [label in chosen for label in image]


def test_classmix_counts_by_hand() -> None:
    """Images of 0, 1, 2, 3, 4 and 5 classes among ignored pixels."""
    labels = torch.full((6, 1, 6), 255)
    for n in range(6):
        labels[n, 0, :n] = torch.arange(n)
    half = classmix_masks(labels, 5, seeded()).sum((1, 2))
    reference = classmix_masks(labels, 5, seeded(), rule="reference").sum((1, 2))
    assert half.tolist() == [0, 1, 1, 2, 2, 3]
    assert reference.tolist() == [0, 1, 2, 2, 3, 3]
    background = classmix_masks(labels, 5, seeded(), rule="reference", exclude=0)
    assert background.sum((1, 2)).tolist() == [0, 0, 1, 2, 2, 3] and not background[labels == 0].any()


def test_classmix_chooses_uniformly_and_per_image() -> None:
    """Every class of four in half of 2000 images, every pair in a sixth; 4 and 5 are absent."""
    labels = torch.arange(4).expand(2000, 1, 4)
    masks = classmix_masks(labels, 6, seeded())[:, 0]
    assert masks.float().mean(0).tolist() == pytest.approx([0.5] * 4, abs=0.045)
    pairs = (masks * torch.tensor([1, 2, 4, 8])).sum(1).bincount()
    counts = pairs[pairs > 0]
    assert len(counts) == 6 and (counts / 2000).tolist() == pytest.approx([1 / 6] * 6, abs=0.034)


def test_classmix_probability() -> None:
    labels = torch.randint(0, 3, (2000, 2, 2), generator=seeded(1))
    share = classmix_masks(labels, 3, seeded(), probability=0.2).flatten(1).any(1).float().mean()
    assert share == pytest.approx(0.2, abs=0.036)
    assert not classmix_masks(labels, 3, seeded(), probability=0.0).any()
    assert classmix_masks(labels, 3, seeded(), probability=1.0).flatten(1).any(1).all()


def test_classmix_is_reproducible_and_takes_any_integer() -> None:
    labels = torch.randint(0, 5, (4, 6, 7), generator=seeded(1))
    masks = classmix_masks(labels, 5, seeded(2))
    assert torch.equal(masks, classmix_masks(labels, 5, seeded(2)))
    assert torch.equal(masks, classmix_masks(labels.to(torch.uint8), 5, seeded(2)))
    assert not torch.equal(masks, classmix_masks(labels, 5, seeded(3)))


def test_classmix_misuse() -> None:
    labels = torch.zeros(1, 2, 2, dtype=torch.int64)
    for wrong, message in (
        ({"rule": "most"}, "'half' or 'reference'"),
        ({"probability": 1.2}, "probability"),
        ({"exclude": 3}, "exclude"),
    ):
        with pytest.raises(UsageError, match=message):
            classmix_masks(labels, 3, seeded(), **wrong)


def test_paste_by_hand() -> None:
    """Image 0 receives from the last, 1 from 0, 2 from 1."""
    masks = torch.tensor([[[True, False]], [[False, False]], [[True, True]]])
    labels = torch.tensor([[[1, 2]], [[3, 4]], [[5, 6]]])
    images = labels[:, None].repeat(1, 3, 1, 1) / 10
    mixed, pixels = paste(masks, labels, images)
    assert mixed.tolist() == [[[5, 6]], [[1, 4]], [[5, 6]]]
    assert torch.equal(pixels, mixed[:, None].repeat(1, 3, 1, 1) / 10)
    assert labels.tolist() == [[[1, 2]], [[3, 4]], [[5, 6]]]


def test_paste_of_one_image_changes_nothing() -> None:
    labels = torch.arange(6).view(1, 2, 3)
    (mixed,) = paste(torch.ones(1, 2, 3, dtype=torch.bool), labels)
    assert torch.equal(mixed, labels)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(0, 10_000))
def test_pasted_pixels_labels_and_confidence_come_from_one_place(
    batch: int, height: int, width: int, seed: int
) -> None:
    """Every tensor holds its own image and position, so the origin of each mixed pixel can be read back."""
    origin = torch.arange(batch * height * width).view(batch, height, width)
    labels = torch.randint(0, 4, origin.shape, generator=seeded(seed))
    masks = classmix_masks(labels, 4, seeded(seed))
    images = origin[:, None].expand(-1, 3, -1, -1).double()
    where, new_labels, new_images, confidence = paste(masks, origin, labels, images, origin.float())
    assert (new_images == where[:, None]).all() and (confidence == where).all()
    assert torch.equal(new_labels, labels.flatten()[where])
    for b in range(batch):
        giver = (b - 1) % batch
        expected = [
            origin[giver if masks[giver, y, x] else b, y, x].item() for y in range(height) for x in range(width)
        ]
        assert where[b].flatten().tolist() == expected


def test_paste_keeps_types_and_refuses_other_shapes() -> None:
    masks = torch.ones(2, 3, 4, dtype=torch.bool)
    for dtype in (torch.int64, torch.uint8, torch.float32, torch.float16, torch.bool):
        for shape in ((2, 3, 4), (2, 5, 3, 4)):
            (mixed,) = paste(masks, torch.zeros(shape, dtype=dtype))
            assert mixed.dtype == dtype and mixed.shape == shape
    for shape in ((2, 4, 3), (3, 3, 4), (2, 3), (1, 1, 2, 3, 4)):
        with pytest.raises(UsageError, match="paste"):
            paste(masks, torch.zeros(shape))


@pytest.mark.parametrize("size", [(40, 60), (7, 50), (1, 10), (33, 64)])
@pytest.mark.parametrize("area", [0.5, 0.3])
def test_cutmix_is_one_rectangle_of_the_area(size: tuple[int, int], area: float) -> None:
    height, width = size
    masks = cutmix_masks(200, height, width, seeded(), area=area)
    assert masks.shape == (200, height, width) and masks.dtype == torch.bool
    rows, columns = masks.any(2), masks.any(1)
    assert torch.equal(masks, rows[:, :, None] & columns[:, None, :])
    for axis in (rows, columns):  # one run: it rises at most once, falls at most once, and does not wrap
        steps = axis.int().diff(dim=1)
        assert ((steps == 1).sum(1) <= 1).all() and ((steps == -1).sum(1) <= 1).all()
        assert not ((steps == -1).any(1) & axis[:, 0] & axis[:, -1]).any()
    # The width is rounded to a whole pixel, so the area is off by at most half the rectangle's height.
    difference = (masks.sum((1, 2)) - area * height * width).abs()
    assert (difference <= rows.sum(1) / 2).all()


def test_cutmix_aspect_and_position() -> None:
    """Height log-uniform between half of H and H: median H/√2; every place inside is reached."""
    masks = cutmix_masks(2000, 100, 100, seeded())
    height = masks.any(2).sum(1).float()
    assert height.min() == 50 and height.max() == 100
    assert height.median() == pytest.approx(100 / math.sqrt(2), abs=2)
    assert (height < 100 * 0.5**0.75).float().mean() == pytest.approx(0.25, abs=0.045)
    corners = masks[:, [0, 0, -1, -1], [0, -1, 0, -1]].float().mean(0)
    assert (corners > 0).all() and corners.max() - corners.min() < 0.05
    mean = masks.float().mean(0)
    assert mean[50, 50] > 0.9 and mean.mean() == pytest.approx(0.5, abs=0.005)
    assert torch.equal(masks, cutmix_masks(2000, 100, 100, seeded()))


def test_cutmix_of_a_range_of_areas_leaves_what_one_area_draws() -> None:
    areas = cutmix_masks(2000, 50, 80, seeded(), area=(0.0, 1.0)).float().mean((1, 2))
    assert areas.quantile(torch.tensor([0.1, 0.5, 0.9])).tolist() == pytest.approx([0.1, 0.5, 0.9], abs=0.04)
    some = cutmix_masks(2000, 50, 80, seeded(), area=(0.02, 0.4)).float().mean((1, 2))
    assert some.min() > 0.01 and some.max() < 0.41 and some.mean() == pytest.approx(0.21, abs=0.01)
    assert torch.equal(cutmix_masks(9, 50, 80, seeded(), area=(0.3, 0.3)), cutmix_masks(9, 50, 80, seeded(), area=0.3))
    each = torch.tensor([0.1, 0.5, 1.0])
    areas = cutmix_masks(3, 50, 80, seeded(), area=each, aspect=(1.0, 1.0)).float().mean((1, 2))
    torch.testing.assert_close(areas, each, rtol=0.05, atol=0.01)
    tiny = cutmix_masks(300, 3, 4, seeded(), area=(0.0, 1e-9))
    assert tiny.sum((1, 2)).min() == 1, "no rectangle is nothing"


def test_cutmix_of_a_range_of_aspects() -> None:
    """Height / width uniform where it fits: of an area of 0.04, sides lie between 0.11 and 0.37."""
    masks = cutmix_masks(2000, 200, 200, seeded(), area=0.04, aspect=(0.3, 1 / 0.3))
    height, width = (masks.any(axis).sum(1).double() for axis in (2, 1))
    ratio = height / width
    assert ratio.min() == pytest.approx(0.3, rel=0.05) and ratio.max() == pytest.approx(1 / 0.3, rel=0.05)
    assert ratio.median() == pytest.approx((0.3 + 1 / 0.3) / 2, rel=0.06)
    assert (height * width / 200**2).mean() == pytest.approx(0.04, rel=0.02)
    large = cutmix_masks(300, 50, 80, seeded(), area=0.6, aspect=(0.1, 10.0))
    assert large.float().mean((1, 2)).tolist() == pytest.approx([0.6] * 300, abs=0.02), "cut to what fits"


def test_cutmix_probability_and_misuse() -> None:
    share = cutmix_masks(2000, 4, 4, seeded(), probability=0.8).flatten(1).any(1).float().mean()
    assert share == pytest.approx(0.8, abs=0.036)
    assert not cutmix_masks(5, 4, 4, seeded(), probability=0).any()
    assert cutmix_masks(3, 4, 4, seeded(), area=1.0).all()
    for wrong in (
        {"area": 0.0}, {"area": 1.5}, {"area": (0.5, 0.2)}, {"area": (-0.1, 0.5)}, {"area": (0.0, 0.0)},
        {"area": torch.tensor([0.5, 1.5])}, {"aspect": (0.0, 1.0)}, {"aspect": (2.0, 1.0)}, {"probability": -0.1},
    ):  # fmt: skip
        with pytest.raises(UsageError, match=next(iter(wrong))):
            cutmix_masks(2, 4, 4, seeded(), **wrong)
