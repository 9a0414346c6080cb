"""Table 1: the probabilities and intensities of the weak and the strong set, and that views show them."""

import colorsys
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from augment_draws import NOTHING, fixed, seeded

from semiseg.augment.weak_strong import (
    BLUR_SIGMA,
    STRONG,
    STRONG_REFERENCE,
    WEAK,
    WEAK_REFERENCE,
    Strength,
    apply_draws,
    augment,
    draw,
)
from semiseg.errors import UsageError


def test_table_1() -> None:
    """The numbers of the paper's table and of the authors' code, written by hand."""
    names = ("flip", "resize", "jitter", "brightness", "contrast", "saturation", "hue", "blur", "classmix")
    columns = {
        WEAK: (0.5, 0.5, 0.2, 0.15, 0.15, 0.075, 0.05, 0, 0.2),
        STRONG: (0.5, 0.8, 0.8, 0.3, 0.3, 0.15, 0.1, 0.2, 0.8),
        WEAK_REFERENCE: (0.5, 0.5, 0.2, 0.125, 0.125, 0.0625, 0.0417, 0, 0.2),
        STRONG_REFERENCE: (0.5, 0.8, 0.8, 0.25, 0.25, 0.125, 0.083, 0.2, 0.75),
    }
    for strength, values in columns.items():
        expected = dict(zip(names, values, strict=True), resize_range=(0.75, 1.75), grey=0, blur_sigma=BLUR_SIGMA)
        assert asdict(strength) == expected


@pytest.mark.parametrize(
    "wrong", [{"flip": 1.1}, {"blur": -0.1}, {"hue": 0.6}, {"contrast": 2.0}, {"resize_range": (0.0, 1.0)}]
)
def test_strength_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        replace(STRONG, **wrong)


def test_probabilities() -> None:
    """Shares of 2000 strong views that show each change; four standard deviations are below 0.045."""
    count = 2000
    draws = draw(count, seeded())
    columns = torch.arange(8) / 16
    images = (0.25 + columns).expand(count, 3, 8, 8).contiguous()
    images[:, 1] += 0.2 * (torch.arange(8) % 2)[:, None]
    labels = torch.arange(8).expand(count, 8, 8)

    def share(strength: Strength) -> tuple[float, float]:
        views, moved, _ = apply_draws(images, labels, None, strength, draws)
        changed = (views != images).flatten(1).any(1).float().mean().item()
        return changed, (moved != labels).flatten(1).any(1).float().mean().item()

    for strength in (WEAK, STRONG):
        assert share(replace(strength, resize=0, jitter=0, blur=0))[0] == pytest.approx(strength.flip, abs=0.045)
        assert share(replace(strength, flip=0, jitter=0, blur=0))[0] == pytest.approx(strength.resize, abs=0.045)
        colour = replace(strength, flip=0, resize=0, blur=0)
        assert share(colour) == pytest.approx((strength.jitter, 0), abs=0.045)
        blurred = replace(strength, flip=0, resize=0, jitter=0)
        # Sigmas below 0.25 leave float32 pixels almost as they were: changed is any bit, labels never.
        assert share(blurred) == pytest.approx((strength.blur, 0), abs=0.045)


def test_reduced_share_and_position() -> None:
    """A scale uniform in [0.75, 1.75] pads a quarter of the images, on either side and by up to a quarter."""
    images, labels = torch.rand(2000, 3, 1, 40), torch.zeros(2000, 1, 40, dtype=torch.int64)
    _, moved, _ = augment(images, labels, None, replace(NOTHING, resize=1), seeded())
    padded = (moved == 255)[:, 0]
    shares = padded.float().mean(1)
    assert (shares > 0).float().mean() == pytest.approx(0.25, abs=0.04)
    assert 0.22 < shares.max() <= 0.275
    left, right = padded[:, 0].float().mean().item(), padded[:, -1].float().mean().item()
    assert left == pytest.approx(right, abs=0.05) and left > 0.1


def test_brightness_of_grey_images() -> None:
    """On a constant grey image only brightness shows: within ±30 %, and reaching almost that far."""
    grey = torch.full((500, 3, 2, 2), 0.5)
    labels = torch.zeros(500, 2, 2, dtype=torch.int64)
    views, _, _ = augment(grey, labels, None, replace(STRONG, flip=0, resize=0, blur=0, jitter=1), seeded())
    ratio = views / grey
    assert 0.7 - 1e-5 <= ratio.min() < 0.71 and 1.29 < ratio.max() <= 1.3 + 1e-5
    assert ratio.mean() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("strength", [WEAK, STRONG])
def test_intensities_reach_their_maximum(strength: Strength) -> None:
    """At the extremes of each draw, one part at a time, on one colour pixel beside its opposite."""
    images = torch.tensor([[0.6, 0.4], [0.3, 0.5], [0.45, 0.45]])[None, :, None]  # two pixels, (1, 3, 1, 2)
    labels = torch.zeros(1, 1, 2, dtype=torch.int64)
    parts = ("brightness", "contrast", "saturation", "hue")
    for part in parts:
        alone = replace(NOTHING, jitter=1, **{part: getattr(strength, part)})
        for end, sign in ((0.0, -1), (1.0, 1)):
            view = apply_draws(images, labels, None, alone, fixed(**{part: end}))[0][0, :, 0, 0].tolist()
            most = sign * getattr(strength, part)
            hue, saturation, value = colorsys.rgb_to_hsv(0.6, 0.3, 0.45)
            grey = 0.299 * 0.5 + 0.587 * 0.4 + 0.114 * 0.45
            expected = {
                "brightness": [0.6 * (1 + most), 0.3 * (1 + most), 0.45 * (1 + most)],
                "contrast": [grey + (c - grey) * (1 + most) for c in (0.6, 0.3, 0.45)],
                "saturation": list(colorsys.hsv_to_rgb(hue, saturation * (1 + most), value)),
                "hue": list(colorsys.hsv_to_rgb((hue + most) % 1, saturation, value)),
            }
            assert view == pytest.approx(expected[part], abs=1e-5), (part, sign)
