"""Views of a batch: labels and confidence follow the image, and nothing else changes."""

from dataclasses import replace

import pytest
import torch
from augment_draws import NOTHING, fixed, seeded
from torch import Tensor

from semiseg.augment.colour import gaussian_blur, jitter
from semiseg.augment.weak_strong import (
    STRONG,
    Draws,
    apply_draws,
    augment,
    draw,
)
from semiseg.errors import UsageError


def random_batch(batch: int = 4, height: int = 12, width: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    generator = seeded(7)
    images = torch.rand(batch, 3, height, width, generator=generator)
    labels = torch.randint(0, 19, (batch, height, width), generator=generator)
    return images, labels, torch.rand(batch, height, width, generator=generator)


def test_shapes_that_do_not_belong_together() -> None:
    images, labels, confidence = random_batch()
    for arguments in (
        (images[:, 0], labels, None),
        (images, labels[:2], None),
        (images, labels, confidence[:2]),
    ):
        with pytest.raises(UsageError, match="give images"):
            augment(*arguments, STRONG, seeded())


def test_probability_0_changes_nothing() -> None:
    images, labels, confidence = random_batch()
    strength = replace(STRONG, flip=0, resize=0, jitter=0, blur=0)
    for before, after in zip(
        (images, labels, confidence), augment(images, labels, confidence, strength, seeded()), strict=True
    ):
        assert torch.equal(before, after)


def test_probability_1_flip() -> None:
    images, labels, confidence = random_batch()
    results = augment(images, labels, confidence, replace(NOTHING, flip=1), seeded())
    for before, after in zip((images, labels, confidence), results, strict=True):
        assert torch.equal(after, before.flip(-1))
    assert augment(images, labels, None, replace(NOTHING, flip=1), seeded())[2] is None


def test_types_stay_and_inputs_are_not_modified() -> None:
    images, labels, confidence = random_batch(batch=8)
    copies = images.clone(), labels.clone(), confidence.clone()
    results = augment(images, labels, confidence, STRONG, seeded())
    for before, copy, after in zip((images, labels, confidence), copies, results, strict=True):
        assert after.shape == before.shape and after.dtype == before.dtype
        assert torch.equal(before, copy) and not torch.equal(before, after)
    double, small, _ = augment(images.double(), labels.to(torch.uint8), None, STRONG, seeded())
    assert double.dtype == torch.float64 and small.dtype == torch.uint8
    torch.testing.assert_close(double.float(), results[0], atol=1e-5, rtol=0)
    assert torch.equal(small.long(), results[1])


def test_reproducible_by_generator() -> None:
    batch = random_batch()
    first, again, other = (augment(*batch, STRONG, seeded(seed)) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_images_are_independent() -> None:
    """An image alone, with its own draws, comes out as it does within the batch."""
    images, labels, confidence = random_batch(batch=16)
    draws = draw(16, seeded())
    together = apply_draws(images, labels, confidence, STRONG, draws)
    for b in range(16):
        row = slice(b, b + 1)
        alone = apply_draws(
            images[row],
            labels[row],
            confidence[row],
            STRONG,
            Draws(*(values[row] for values in draws if values is not None)),
        )
        for whole, single in zip(together, alone, strict=True):
            torch.testing.assert_close(whole[row], single, atol=1e-6, rtol=0)


def test_resize_by_hand() -> None:
    """Doubling the middle of a ramp, then halving it, flipped."""
    ramp = torch.tensor([0.0, 0.2, 0.4, 0.6]).expand(1, 3, 4, 4)
    labels = torch.arange(4).expand(1, 4, 4)
    confidence = ramp[:, 0] + 0.1
    resize = replace(NOTHING, resize=1, flip=0.4)

    twice = apply_draws(ramp, labels, confidence, replace(resize, resize_range=(2, 2)), fixed())
    # Centres at 1.25, 1.75, 2.25, 2.75, where the ramp is 0.2·(x - 0.5).
    torch.testing.assert_close(twice[0], torch.tensor([0.15, 0.25, 0.35, 0.45]).expand(1, 3, 4, 4))
    assert twice[1].tolist() == [[[1, 1, 2, 2]] * 4]
    torch.testing.assert_close(twice[2], torch.tensor([0.3, 0.3, 0.5, 0.5]).expand(1, 4, 4))

    half = apply_draws(ramp, labels, confidence, replace(resize, resize_range=(0.5, 0.5)), fixed(flip=0), fill=0.9)
    torch.testing.assert_close(half[0][0, 1, 1], torch.tensor([0.9, 0.5, 0.1, 0.9]))
    assert half[1].tolist() == [[[255] * 4, [255, 3, 1, 255], [255, 3, 1, 255], [255] * 4]]
    assert (half[0][0, :, [0, 3]] == 0.9).all() and (half[2][half[1] == 255] == 0).all()
    torch.testing.assert_close(half[2][0, 1, 1:3], torch.tensor([0.7, 0.3]))


def test_edges_repeat_and_axes_have_their_own_offset() -> None:
    """At twice the size: the top and the right side; edge pixels are not blended with anything."""
    columns = torch.tensor([0.2, 0.4, 0.6, 0.8])
    image = torch.stack([columns.expand(4, 4), columns[:, None].expand(4, 4), torch.ones(4, 4)])[None]
    strength = replace(NOTHING, resize=1, resize_range=(2, 2))
    view = apply_draws(image, torch.zeros(1, 4, 4, dtype=torch.int64), None, strength, fixed(offset_y=0, offset_x=1))
    torch.testing.assert_close(view[0][0, 0, 0], torch.tensor([0.55, 0.65, 0.75, 0.8]))
    torch.testing.assert_close(view[0][0, 1, :, 0], torch.tensor([0.2, 0.25, 0.35, 0.45]))
    torch.testing.assert_close(view[0][0, 2], torch.ones(4, 4))


def test_each_change_has_its_own_draw() -> None:
    """With one draw below every probability and the others above, exactly one kind of change happens."""
    image = torch.linspace(0.2, 0.6, 48).view(1, 3, 4, 4) + torch.tensor([0.0, 0.2]).repeat(8).view(4, 4)
    labels = torch.arange(16).view(1, 4, 4)
    strength = replace(STRONG, flip=0.5, resize=0.5, jitter=0.5, blur=0.5, resize_range=(1.5, 1.5))
    one = torch.ones(1)
    expected = {
        "flip": image.flip(-1),
        "jitter": jitter(image, 1.3 * one, 0.7 * one, 1.15 * one, -0.1 * one),
        "blur": gaussian_blur(image, one),
    }
    others = {"brightness": 1.0, "contrast": 0.0, "saturation": 1.0, "hue": 0.0, "sigma": 0.85}
    for name in ("flip", "resize", "jitter", "blur"):
        draws = fixed(**{**dict.fromkeys(("flip", "resize", "jitter", "blur"), 0.9), **others, name: 0.1})
        view, moved, _ = apply_draws(image, labels, None, strength, draws)
        if name == "resize":
            assert not torch.equal(moved, labels) and not torch.equal(moved, labels.flip(-1))
        else:
            torch.testing.assert_close(view, expected[name])
            assert torch.equal(moved, labels.flip(-1) if name == "flip" else labels)
    seen = draw(500, seeded())
    correlation = torch.corrcoef(torch.stack(list(seen[:-1]))) - torch.eye(len(seen) - 1)
    assert correlation.abs().max() < 0.2


def test_image_label_and_confidence_move_together() -> None:
    """Red shows the label and green the confidence, in blocks of 8 pixels: they agree inside the blocks."""
    batch, blocks, side = 32, 6, 8
    label = torch.randint(0, 10, (batch, blocks, blocks), generator=seeded(1))
    sure = torch.rand(batch, blocks, blocks, generator=seeded(2))

    def enlarge(values: Tensor) -> Tensor:
        return values.repeat_interleave(side, 1).repeat_interleave(side, 2)

    labels, confidence = enlarge(label), enlarge(sure)
    images = torch.stack([labels / 10, confidence, torch.ones_like(confidence)], 1)
    strength = replace(NOTHING, flip=0.5, resize=0.8)
    views, moved, followed = augment(images, labels, confidence, strength, seeded(), fill=0.0)
    known = moved != 255
    assert torch.equal(views[:, 2] == 0, ~known) and (followed[~known] == 0).all()
    # Bilinear weights reach half a source pixel beyond a block: at least 5 of 8 pixels each way are pure.
    agrees = ((views[:, 0] - moved / 10).abs() < 1e-5) & ((views[:, 1] - followed).abs() < 1e-5)
    assert agrees[known].float().mean() > 0.6
    # Only block borders differ: wherever the 3×3 neighbourhood has one confidence, all agree.
    patches = torch.nn.functional.unfold(followed[:, None], 3, padding=1).view(batch, 9, *moved.shape[1:])
    interior = known & (patches.amax(1) == patches.amin(1))
    assert interior[known].float().mean() > 0.5 and agrees[interior].all()
    assert (known.float().mean((1, 2)) < 1).any() and not torch.equal(views, images)


def test_untouched_images_are_bit_exact_among_touched_ones() -> None:
    images, labels, confidence = random_batch(batch=2)
    draws = fixed(batch=2)
    draws.resize[0] = 0.9
    strength = replace(NOTHING, flip=0.6, resize=0.6)
    views, moved, followed = apply_draws(images, labels, confidence, strength, draws)
    assert torch.equal(views[0], images[0].flip(-1)) and torch.equal(moved[0], labels[0].flip(-1))
    assert torch.equal(followed[0], confidence[0].flip(-1)) and not torch.equal(views[1], images[1].flip(-1))


def test_results_stay_in_range() -> None:
    images, labels, confidence = random_batch(batch=64)
    views, moved, followed = augment(images.round(), labels, confidence, replace(STRONG, blur=1), seeded())
    assert views.min() >= 0 and views.max() <= 1 and followed.min() >= 0 and followed.max() <= 1
    assert set(moved.flatten().tolist()) <= {*range(19), 255}
