from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from semiseg.data.rasters.base import ArrayRaster
from semiseg.data.rasters.intensity import PixelSettings, chosen, mapped, percentile_ranges, ranges_of
from semiseg.errors import SemisegError


def raster(channels: int = 3, dtype: str = "uint16", alpha: int | None = None) -> ArrayRaster:
    values = np.arange(20 * 20 * channels).reshape(20, 20, channels).astype(dtype)
    return ArrayRaster(Path("a.tif"), values, alpha)


def test_low_becomes_0_high_255_and_what_lies_beyond_is_cut() -> None:
    values = np.array([0, 100, 200, 300, 500], np.uint16)[:, None, None]
    assert mapped(values, ((100, 300),)).ravel().tolist() == [0, 0, 128, 255, 255]


def test_bytes_stay_as_they_are_and_what_is_no_number_becomes_0() -> None:
    values = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert np.array_equal(mapped(values, None), values)
    floats = np.array([np.nan, 0.5, np.inf], np.float32)[:, None, None]
    assert mapped(floats, ((0, 1),)).ravel().tolist() == [0, 128, 255]


def test_a_channel_of_one_value_is_no_division_by_zero() -> None:
    assert mapped(np.full((1, 1, 1), 7, np.uint16), ((7, 7),)).tolist() == [[[0]]]


def test_percentiles_are_each_channels_own_and_of_numbers_alone() -> None:
    values = np.array([[0, 10], [50, np.nan], [100, 30]])
    assert percentile_ranges(values, (0, 100)) == ((0, 100), (10, 30))
    assert percentile_ranges(values, (50, 100)) == ((50, 100), (20, 30))


def test_ranges_follow_the_setting() -> None:
    settings = PixelSettings(3, "full")
    assert ranges_of(raster(), [0, 1, 2], settings) == ((0, 65535),) * 3
    assert ranges_of(raster(dtype="float32"), [0, 1, 2], settings) == ((0, 1),) * 3
    assert ranges_of(raster(dtype="uint8"), [0, 1, 2], PixelSettings()) is None
    given = PixelSettings(3, "dataset", ranges=((0, 4095),))
    assert ranges_of(raster(), [0, 1, 2], given) == ((0, 4095),) * 3
    measured = ranges_of(raster(), [0], PixelSettings([1], "image", (0, 100)))  # type: ignore[arg-type]
    assert measured == ((0, 1197),)


def test_deep_numbers_without_a_setting_and_ranges_of_other_channels_are_one_line() -> None:
    with pytest.raises(SemisegError, match=r"16-bit or floating-point values; convert it to 8 bits, or set data\.int"):
        ranges_of(raster(), [0, 1, 2], PixelSettings())
    with pytest.raises(SemisegError, match="2 pairs for 3 channels; give one"):
        ranges_of(raster(), [0, 1, 2], PixelSettings(3, "dataset", ranges=((0, 1), (0, 2))))


@pytest.mark.parametrize(
    ("count", "alpha", "channels", "taken"),
    [
        (1, None, None, [0, 0, 0]), (3, None, None, [0, 1, 2]), (4, 3, None, [0, 1, 2]), (2, 1, None, [0, 0, 0]),
        (5, None, 5, [0, 1, 2, 3, 4]), (5, None, (4, 3, 2), [3, 2, 1]), (4, 3, 4, [0, 1, 2, 3]), (4, 3, 3, [0, 1, 2]),
    ],
)  # fmt: skip
def test_channels_are_counted_from_1_and_opacity_is_none(
    count: int, alpha: int | None, channels: int | tuple[int, ...] | None, taken: list[int]
) -> None:
    assert chosen(raster(count, alpha=alpha), channels) == taken


@pytest.mark.parametrize(
    ("count", "channels", "told"),
    [
        (5, None, "has 5 channels; say which are used: data.channels=5"),
        (5, 4, r"has 5 channels, data.channels=4; list those that are used, e.g. data.channels=\[1,2,3,4\]"),
        (3, (1, 4), "has 3 channels and no channel 4"),
    ],
)
def test_no_channel_is_left_out_in_silence(count: int, channels: int | tuple[int, ...] | None, told: str) -> None:
    with pytest.raises(SemisegError, match=told):
        chosen(raster(count), channels)


def test_settings_are_compared_by_value() -> None:
    assert replace(PixelSettings(), intensity="full") == PixelSettings(intensity="full")
