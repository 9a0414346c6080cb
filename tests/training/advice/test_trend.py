"""Rising, flat or falling: what a reader of the curve would say."""

import numpy as np
import pytest

from semiseg.training.advice.noise import sigma
from semiseg.training.advice.trend import Trend, change, trend

EARLY, RISING, FLAT, FALLING = Trend


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([], EARLY),
        ([40], EARLY),
        ([40, 60], EARLY),
        ([40, 45, 50], RISING),
        ([50, 50.4, 49.8], FLAT),
        ([50, 45, 40], FLAT),  # a fall needs a level that it falls from
        ([50, 50, 45, 40], FALLING),
        ([40, 50, 55, 57, 58, 59], RISING),
        ([40, 50, 55, 55.5, 55, 55.3], FLAT),
        ([40, 55, 60, 61, 60, 58, 56, 54], FALLING),
        ([50, 55, 60, 60, 60, 56, 56, 56, 56], FALLING),  # long ago, and it never came back
        ([55, 55, 55, 55, 55, 48], FLAT),  # one bad validation is no fall
        ([51, 48, 47, 58, 51, 50, 49, 52, 50, 50], FLAT),  # one good one is no peak
    ],
)
def test_directions(curve: list[float], expected: Trend) -> None:
    assert trend(curve, 1.0) is expected


@pytest.mark.parametrize(("sigma", "expected"), [(0.5, RISING), (3.0, FLAT)])
def test_the_same_rise_may_be_chance(sigma: float, expected: Trend) -> None:
    assert trend([50, 51, 52, 53], sigma) is expected


def test_what_is_noise_alone_is_mostly_called_flat() -> None:
    curves = 50 + np.random.default_rng(1).normal(0, 1, (1000, 8))
    found = [trend(curve.tolist(), 1.0) for curve in curves]
    assert found.count(RISING) / len(found) < 0.09  # 1 in 15 is meant
    assert found.count(FALLING) / len(found) < 0.12


@pytest.mark.parametrize(
    "curve",
    [
        [44, 49, 48, 51, 55, 55, 55, 55, 56, 56],
        [45, 44, 46, 51, 53, 51, 55, 56, 55, 55],
        [39, 45, 46, 45, 49, 48, 47, 52, 52, 51],
        [45, 50, 46, 53, 56, 52, 51, 53, 53, 53],
    ],
)
def test_curves_of_toy_streets_end_as_they_look(curve: list[float]) -> None:
    assert trend(curve[:4], sigma(curve[:4], 60)) is RISING
    assert trend(curve, sigma(curve, 60)) is FLAT


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (1.0, 0.8, FALLING),
        (1.0, 0.95, FLAT),
        (1.0, 1.05, FLAT),
        (1.0, 1.2, RISING),
        (0.0, 0.0, FLAT),
        (None, 1.0, None),
        (1.0, None, None),
    ],
)
def test_training_loss(before: float | None, now: float | None, expected: Trend | None) -> None:
    assert change(before, now) is expected
