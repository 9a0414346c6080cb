"""Views that are filled up from around the crop: what they show, where from, and that all else is as without it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from augment_draws import NOTHING, fixed, seeded
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from semiseg.augment.geometry import Context, source_coordinates
from semiseg.augment.weak_strong import STRONG, WEAK, Draws, apply_draws, augment, draw
from semiseg.data.windows import draw_window, widen
from semiseg.errors import UsageError

CROP, AROUND = (12, 15), (16, 20)  # the smallest scale of Table 1 is 0.75
SIZES = [(30, 40), (16, 20), (14, 18), (12, 15), (12, 40), (9, 40), (9, 11)]  # of the image, height and width


def picture(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """An image (3, *size) in [0.2, 0.8] that is linear in row and column, and labels that number its pixels."""
    rows, columns = np.indices(size)
    image = np.stack([0.2 + rows / 100, 0.2 + columns / 100, np.full(size, 0.7)]).astype(np.float32)
    return image, (1000 + rows * size[1] + columns).astype(np.int64)


def loaded(size: tuple[int, int], seed: int = 0, batch: int = 8) -> tuple[Tensor, Tensor, Context, np.ndarray]:
    """Crops of one image with their context, and (top, left) of each context in the image."""
    image, label = picture(size)
    crops, labels, images, maps, first, extent, at = [], [], [], [], [], [], []
    for b in range(batch):
        window = draw_window(size, CROP, np.random.default_rng([seed, b]))
        wide = widen(window, size, AROUND)
        crops.append(window.cut(image.transpose(1, 2, 0), 0))
        labels.append(window.cut(label, 255))
        images.append(wide.cut(image.transpose(1, 2, 0), 0))
        maps.append(wide.cut(label, 255))
        first.append((window.top - wide.top, window.left - wide.left))
        extent.append((min(AROUND[0], size[0]), min(AROUND[1], size[1])))
        at.append((wide.top, wide.left))

    def stacked(arrays: list[np.ndarray]) -> Tensor:
        found = torch.from_numpy(np.stack(arrays))
        return found.permute(0, 3, 1, 2).contiguous() if found.ndim == 4 else found

    context = Context([stacked(images), stacked(maps)], torch.tensor(first), torch.tensor(extent))
    return stacked(crops), stacked(labels), context, np.array(at)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_nothing_is_grey_where_the_image_has_context(size: tuple[int, int], flip: float) -> None:
    """Along an axis with enough image no pixel is ignored; along any other the whole image is seen."""
    strength = replace(NOTHING, resize=1.0, flip=flip, resize_range=(0.75, 0.99))
    for seed in range(6):
        images, labels, context, _ = loaded(size, seed)
        views, moved, _ = augment(images, labels, None, strength, seeded(seed), context=context)
        known = moved != 255
        for b in range(len(images)):
            rows, columns = known[b].any(1), known[b].any(0)
            assert torch.equal(known[b], rows[:, None] & columns[None])
            scale = 0.75 + 0.24 * draw(len(images), seeded(seed)).scale[b].item()
            for seen, side, length in ((rows, CROP[0], size[0]), (columns, CROP[1], size[1])):
                shown = min(side, round(scale * length + 1e-4))  # pixels of the output that the image covers
                assert abs(int(seen.sum()) - shown) <= 1 and (seen.all() or side / scale > length)
        assert (views.permute(0, 2, 3, 1)[~known] == 0.5).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("flip", [False, True])
def test_pixels_are_those_of_the_image_at_the_coordinates_of_an_oracle(size: tuple[int, int], flip: bool) -> None:
    """Image and label at every pixel of a view, from a float64 account of one axis at a time, edges repeated."""
    images, labels, context, at = loaded(size, seed=3)
    strength = replace(NOTHING, resize=1.0, flip=float(flip))
    draws = draw(len(images), seeded(5))
    views, moved, _ = apply_draws(images, labels, None, strength, draws, context=context)
    for b in range(len(images)):
        scale = 0.75 + (1.75 - 0.75) * draws.scale[b]  # float32, as drawn
        top, left = (int(v) for v in context.first[b] + torch.from_numpy(at[b]))
        y = oracle(CROP[0], size[0], top, int(at[b][0]), AROUND[0], scale.item(), draws.offset_y[b].item())
        mirrored = size[1] - left - CROP[1] if flip else left
        low = size[1] - at[b][1] - min(AROUND[1], size[1]) if flip else at[b][1]
        x = oracle(CROP[1], size[1], mirrored, int(low), AROUND[1], scale.item(), draws.offset_x[b].item())
        if flip:
            x = [size[1] - value for value in x]
        for i, j in np.ndindex(*CROP):
            if not (0 <= y[i] < size[0] and 0 <= x[j] < size[1]):
                assert moved[b, i, j] == 255 and (views[b, :, i, j] == 0.5).all()
                continue
            assert moved[b, i, j] == 1000 + math.floor(y[i]) * size[1] + math.floor(x[j])
            row, column = min(max(y[i] - 0.5, 0), size[0] - 1), min(max(x[j] - 0.5, 0), size[1] - 1)
            expected = torch.tensor([0.2 + row / 100, 0.2 + column / 100, 0.7])
            torch.testing.assert_close(views[b, :, i, j], expected, atol=2e-6, rtol=0)


def oracle(size: int, length: int, start: int, low: int, around: int, scale: float, offset: float) -> list[float]:
    """Coordinates in an image of ``length`` pixels: a region of size/scale that holds the crop or lies in it.

    Its ends move between those of the crop, and stay within what was loaded, ``low`` … ``low + around``, of the image.
    """
    shown = size / scale
    end = min(length, low + around)
    limits = sorted((low, end - shown))  # within the image, or all of it
    choices = [min(max(begin, limits[0]), limits[1]) for begin in (start, start + size - shown)]
    begin = choices[0] + offset * (choices[1] - choices[0])
    return [begin + (i + 0.5) * shown / size for i in range(size)]


def test_an_image_that_no_resize_is_drawn_for_is_the_crop_bit_for_bit() -> None:
    images, labels, context, _ = loaded((30, 40), batch=16)
    for strength in (replace(WEAK, resize=0.0), WEAK, STRONG):
        plain = augment(images, labels, None, strength, seeded(1))
        views = augment(images, labels, None, strength, seeded(1), context=context)
        kept = draw(16, seeded(1)).resize >= strength.resize
        assert kept.any()
        for before, after in zip(plain[:2], views[:2], strict=True):
            assert torch.equal(before[kept], after[kept])


def test_enlarged_images_show_the_part_of_the_crop_that_they_show_without_context() -> None:
    images, labels, context, _ = loaded((30, 40), batch=32)
    zoom_in = replace(NOTHING, resize=1.0, flip=0.5, resize_range=(1.0, 1.75))
    plain = augment(images, labels, None, zoom_in, seeded(2))
    views = augment(images, labels, None, zoom_in, seeded(2), context=context)
    assert torch.equal(plain[1], views[1])
    inner = (..., slice(1, -1), slice(1, -1))  # at the crop's edge a pixel is blended with the next one, not repeated
    torch.testing.assert_close(plain[0][inner], views[0][inner], atol=2e-6, rtol=0)
    torch.testing.assert_close(plain[0], views[0], atol=0.011, rtol=0)


def test_the_smallest_scale_shows_all_that_was_loaded() -> None:
    images, labels, context, _ = loaded((30, 40), batch=32)
    smallest = replace(NOTHING, resize=1.0, resize_range=(0.75, 0.75))
    shown, everything = augment(images, labels, None, smallest, seeded(2), context=context)[1], context.tensors[1]
    assert torch.equal(shown[:, 0, 0], everything[:, 0, 0]) and torch.equal(shown[:, -1, -1], everything[:, -1, -1])


@given(
    side=st.integers(2, 30), length=st.integers(1, 80), seed=st.integers(0, 99),
    scale=st.floats(0.75, 1.75), offset=st.floats(0, 1),
)  # fmt: skip
def test_no_pixel_is_outside_an_image_that_is_large_enough(
    side: int, length: int, seed: int, scale: float, offset: float
) -> None:
    around = math.ceil(side / 0.75)
    window = draw_window((length, 1), (side, 1), np.random.default_rng(seed))
    wide = widen(window, (length, 1), (around, 1))
    extent = min(around, length)
    values = ([value] for value in (scale, offset, window.top - wide.top, extent))
    y = source_coordinates(side, *(torch.tensor(value, dtype=torch.float64) for value in values))[0]
    inside = (y >= 0) & (y < extent)
    if side / scale <= length:
        assert inside.all()
    elif side <= length:  # the whole image is there
        assert y[0] <= 0.5 / scale + 1e-9 and y[-1] >= length - 0.5 / scale - 1e-9


def test_an_edge_is_repeated_and_not_blended_with_the_padding_behind_it() -> None:
    images, labels, context, _ = loaded((12, 15))
    assert context.tensors[0].shape[-2:] == AROUND and (context.tensors[0][:, 2, 12:] == 0).all()
    views, moved, _ = augment(images, labels, None, replace(NOTHING, resize=1), seeded(3), context=context)
    assert (moved == 255).any()
    torch.testing.assert_close(views[:, 2][moved != 255], torch.full_like(views[:, 2][moved != 255], 0.7))


def test_confidence_follows_too() -> None:
    images, labels, context, _ = loaded((30, 40))
    wide = replace(context, tensors=[*context.tensors, context.tensors[1] / 5000])
    strength = replace(NOTHING, resize=1.0, flip=0.5)
    moved, followed = augment(images, labels, labels / 5000, strength, seeded(), context=wide)[1:]
    assert followed is not None and torch.equal(followed, moved / 5000)


def test_as_many_numbers_are_drawn_as_without_context() -> None:
    images, labels, context, _ = loaded((30, 40))
    with_context, without = seeded(), seeded()
    augment(images, labels, None, WEAK, with_context, context=context)
    augment(images, labels, None, WEAK, without)
    assert torch.equal(with_context.get_state(), without.get_state())


def test_images_of_a_batch_are_independent() -> None:
    images, labels, context, _ = loaded((30, 40))
    draws = draw(len(images), seeded())
    together = apply_draws(images, labels, None, WEAK, draws, context=context)
    for b in range(len(images)):
        row = slice(b, b + 1)
        alone = apply_draws(
            images[row], labels[row], None, WEAK, Draws(*(values[row] for values in draws if values is not None)),
            context=Context([t[row] for t in context.tensors], context.first[row], context.extent[row]),
        )  # fmt: skip
        torch.testing.assert_close(together[0][row], alone[0], atol=1e-6, rtol=0)
        assert torch.equal(together[1][row], alone[1])


def test_context_that_does_not_belong_to_the_crops() -> None:
    images, labels, context, _ = loaded((30, 40))
    for tensors in ([context.tensors[0]], [t[:2] for t in context.tensors], [t[..., :10] for t in context.tensors]):
        with pytest.raises(UsageError, match="give the same tensors as of the crops"):
            augment(images, labels, None, WEAK, seeded(), context=replace(context, tensors=tensors))
    apply_draws(images, labels, None, WEAK, fixed(len(images)), context=context)
