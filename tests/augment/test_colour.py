"""The colour part of Table 1 by itself: HSV against colorsys, blur against kornia and by hand."""

import colorsys
import dataclasses

import pytest
import torch

from semiseg.augment.colour import gaussian_blur, jitter
from semiseg.augment.random_intensity import random_intensity
from semiseg.augment.weak_strong import BLUR_SIGMA, STRONG, augment, draw
from semiseg.errors import UsageError
from semiseg.methods.base.views import NOTHING


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_hue_and_saturation_agree_with_colorsys() -> None:
    pixels = [(0.8, 0.2, 0.1), (0.2, 0.8, 0.3), (0.1, 0.3, 0.9), (0.5, 0.5, 0.5), (0, 0, 0), (1, 1, 1)]
    pixels += [(0.4, 0.4, 0.1), (1, 0, 0), (0.3, 0.9, 0.9)]
    images = torch.tensor(pixels, dtype=torch.float64)[:, :, None, None]
    one = torch.ones(len(pixels), dtype=torch.float64)
    for turn in (-0.5, -0.1, 0.0, 0.05, 0.3):
        for factor in (0.0, 0.85, 1.15, 3.0):
            result = jitter(images, one, one, factor * one, turn * one)[:, :, 0, 0]
            for (red, green, blue), row in zip(pixels, result.tolist(), strict=True):
                hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
                expected = colorsys.hsv_to_rgb((hue + turn) % 1, min(factor * saturation, 1), value)
                assert row == pytest.approx(expected, abs=1e-9)


def test_jitter_clamps() -> None:
    images = torch.rand(3, 3, 4, 4, generator=seeded())
    images[:, :, 0, 0], images[:, :, 1, 1] = 0, 1
    most = torch.full((3,), 1.3)
    result = jitter(images, most, most, most, torch.full((3,), 0.1))
    assert result.min() == 0 and result.max() == 1


def test_blur_against_kornia() -> None:
    filters = pytest.importorskip("kornia.filters")
    images = torch.rand(3, 3, 7, 9, generator=seeded(), dtype=torch.float64)
    sigma = torch.tensor([BLUR_SIGMA[0], 0.6, BLUR_SIGMA[1]], dtype=torch.float64)
    expected = filters.gaussian_blur2d(images, 9, sigma[:, None].expand(3, 2), border_type="replicate")
    torch.testing.assert_close(gaussian_blur(images, sigma), expected, atol=1e-12, rtol=0)


def test_blur_by_hand() -> None:
    """A point of light becomes the product of two normalised Gaussians; a constant stays."""
    image = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    image[0, 0, 4, 4] = 1
    offsets = torch.arange(-4, 5, dtype=torch.float64)
    bell = torch.exp(-(offsets**2) / 2)
    bell /= bell.sum()
    torch.testing.assert_close(gaussian_blur(image, torch.ones(1, dtype=torch.float64))[0, 0], bell[:, None] * bell)
    constant = torch.full((1, 3, 2, 2), 0.3)  # smaller than the kernel
    torch.testing.assert_close(gaussian_blur(constant, torch.tensor([1.15])), constant)


def test_grey_pictures_have_one_value_in_all_channels_and_are_drawn_last() -> None:
    images = torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(64, 8, 8, dtype=torch.int64)
    strength = dataclasses.replace(NOTHING, grey=0.2)
    seen, _, _ = augment(images, labels, None, strength, torch.Generator().manual_seed(1))
    is_grey = (seen == seen[:, :1]).flatten(1).all(1)
    assert 4 <= int(is_grey.sum()) <= 24
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    torch.testing.assert_close(seen[is_grey], (images * weights).sum(1, keepdim=True).expand(-1, 3, -1, -1)[is_grey])
    assert torch.equal(seen[~is_grey], images[~is_grey])
    draws = [draw(4, torch.Generator().manual_seed(2), grey) for grey in (False, True)]
    assert draws[0].grey is None and all(torch.equal(a, b) for a, b in zip(draws[0][:-1], draws[1][:-1], strict=True))
    with pytest.raises(UsageError, match="blur_sigma"):
        dataclasses.replace(NOTHING, blur_sigma=(0.1, 3.0))


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_other_channels_have_brightness_and_contrast_but_no_hue(channels: int) -> None:
    images = torch.rand(3, channels, 8, 8, generator=torch.Generator().manual_seed(0))
    same, factor = torch.ones(3), torch.tensor([0.5, 0.8, 1.2])
    assert torch.equal(jitter(images, same, same, factor, torch.full((3,), 0.3)), images)
    brighter = jitter(images, factor, same, same, torch.zeros(3))
    assert torch.allclose(brighter, (images * factor[:, None, None, None]).clamp(0, 1))
    grey = images.mean((1, 2, 3))[:, None, None, None]
    contrast = jitter(images, same, factor, same, torch.zeros(3))
    assert torch.allclose(contrast, (grey + factor[:, None, None, None] * (images - grey)).clamp(0, 1), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 5])
def test_both_sets_of_operations_take_other_channels(channels: int) -> None:
    images, labels = torch.rand(6, channels, 24, 24), torch.zeros(6, 24, 24, dtype=torch.long)
    seen, _, _ = augment(images, labels, None, STRONG, torch.Generator().manual_seed(0))
    assert seen.shape == images.shape and not torch.equal(seen, images)
    drawn = random_intensity(images, labels == 0, torch.Generator().manual_seed(0))
    assert drawn.shape == images.shape and drawn.min() >= 0 and drawn.max() <= 1 and not torch.equal(drawn, images)
