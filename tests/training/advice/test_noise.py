"""How large a change must be to be more than chance."""

import json
import math
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from semiseg.training.advice.noise import chance, sigma, sigma_of_images

MEASURED = Path(__file__).resolve().parents[3] / "benchmarks" / "results" / "validation_noise.json"


@pytest.mark.parametrize("images", [1, 2, 4, 8, 16])
def test_the_constants_are_those_of_the_measurement(images: int) -> None:
    measured = fmean(row["sigma"][str(images)] for row in json.loads(MEASURED.read_text()))
    assert sigma_of_images(images) == pytest.approx(measured, abs=0.25)


def test_few_images_say_less() -> None:
    values = [chance(sigma_of_images(images)) for images in (1, 2, 10, 100)]
    assert values == sorted(values, reverse=True)
    assert values == pytest.approx([8.0, 6.2, 4.3, 3.7], abs=0.1)
    assert sigma_of_images(0) == sigma_of_images(1)


@pytest.mark.parametrize("curve", [[], [40.0], [40.0, 55.0]])
def test_without_second_differences_the_images_alone_count(curve: list[float]) -> None:
    assert sigma(curve, 4) == sigma_of_images(4)


def test_a_steady_rise_is_no_noise() -> None:
    assert sigma([10.0, 20.0, 30.0, 40.0, 50.0, 60.0], 4) == pytest.approx(sigma_of_images(4) / math.sqrt(2))


def test_the_curve_of_a_noisy_run_raises_it_towards_what_it_is() -> None:
    curves = 50 + np.random.default_rng(0).normal(0, 4, (400, 12))
    found = math.sqrt(fmean(sigma(curve.tolist(), 100) ** 2 for curve in curves))
    # Half of the weight is the curve's, with 4 points, half that of 100 images, with 1.32.
    assert found == pytest.approx(math.sqrt((4**2 + 1.32**2) / 2), rel=0.05)


def test_the_steep_beginning_is_forgotten() -> None:
    assert sigma([0.0, 30.0, 40.0, 41.0, 42.0, 43.0, 44.0, 45.0], 4) < sigma([0.0, 30.0, 40.0, 41.0], 4)
