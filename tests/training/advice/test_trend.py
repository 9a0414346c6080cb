"""Rising, flat or falling: what a reader of the curve would say."""

import json
from pathlib import Path

import numpy as np
import pytest

from semiseg.training.advice.noise import sigma
from semiseg.training.advice.trend import Trend, change, trend

GAIN = Path(__file__).resolve().parents[3] / "benchmarks" / "results" / "gain.json"
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


def test_the_committed_curves_end_as_they_look() -> None:
    rows = [row for row in json.loads(GAIN.read_text()) if "curve" in row][:4]
    found = {}
    for row in rows:
        curve = [point[2] for point in row["curve"]]
        found[row["method"], row["equal"]] = [trend(curve[:n], sigma(curve[:n], 60)) for n in (4, len(curve))]
    assert found == {
        ("fixmatch", "steps"): [RISING, FLAT],
        ("joint_statistics", "steps"): [RISING, FLAT],
        ("supervised", "steps"): [RISING, FLAT],
        ("supervised", "crops"): [RISING, FLAT],
    }


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
