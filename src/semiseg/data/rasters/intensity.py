"""Numbers of any type to 8 bits a channel, by a mapping that the configuration states.

low … high of a channel become 0 … 255, and what lies beyond becomes 0 or 255. Whatever ``data.intensity`` says, the
mapping is linear: only where low and high come from differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from semiseg.data.pictures import DEEP_DATA
from semiseg.data.rasters.base import Raster
from semiseg.data.rasters.microscopy import Stack
from semiseg.errors import SemisegError

Intensity = Literal["image", "dataset", "full"]
Ranges = tuple[tuple[float, float], ...]
"""(low, high) of every channel; a single pair stands for all."""


@dataclass(frozen=True)
class PixelSettings:
    """What of a file is taken and how it becomes 8 bits; see the fields of ``data.*`` with these names."""

    channels: int | tuple[int, ...] | None = None
    intensity: Intensity | None = None
    percentiles: tuple[float, float] = (1.0, 99.8)
    ranges: Ranges | None = None
    stack: Stack = field(default_factory=dict)


def chosen(raster: Raster, channels: int | tuple[int, ...] | None) -> list[int]:
    """The channels that are taken, counted from 0; grey is taken three times where nothing says otherwise.

    Raises:
        SemisegError: the file has another count of channels.
    """
    count, colours = raster.count, raster.count - (raster.alpha is not None)
    if channels is None:
        if colours in (1, 3):
            return [0, 0, 0] if colours == 1 else [0, 1, 2]
        raise SemisegError(
            f"{raster.path} has {count} channels; say which are used: data.channels={count} for all, or e.g. "
            "data.channels=[3,2,1]"
        )
    if isinstance(channels, int):
        if channels in (count, colours):
            return list(range(channels))
        listed = ",".join(str(i + 1) for i in range(min(channels, count)))
        raise SemisegError(
            f"{raster.path} has {count} channels, data.channels={channels}; list those that are used, e.g. "
            f"data.channels=[{listed}]"
        )
    if (highest := max(channels)) > count:
        raise SemisegError(f"{raster.path} has {count} channels and no channel {highest}; correct data.channels")
    return [i - 1 for i in channels]


def ranges_of(raster: Raster, taken: Sequence[int], settings: PixelSettings) -> Ranges | None:
    """(low, high) of every channel taken; None where 8-bit numbers stay as they are.

    Raises:
        SemisegError: more than 8 bits and no ``intensity``, or ranges of another count of channels.
    """
    kind = settings.intensity
    if kind is None:
        if raster.dtype.kind != "b" and raster.dtype != np.uint8:
            raise SemisegError(f"{raster.path} {DEEP_DATA}")
        return None
    if kind == "image":
        return percentile_ranges(raster.sample(taken), settings.percentiles)
    if kind == "full":
        low, high = (0.0, 1.0) if raster.dtype.kind == "f" else _limits(raster.dtype)
        return ((low, high),) * len(taken)
    if settings.ranges is None:
        raise SemisegError("data.intensity=dataset: no ranges were measured yet; give data.ranges=[[LOW,HIGH]]")
    if len(settings.ranges) not in (1, len(taken)):
        raise SemisegError(
            f"data.ranges has {len(settings.ranges)} pairs for {len(taken)} channels; give one, or one for each"
        )
    return settings.ranges * len(taken) if len(settings.ranges) == 1 else settings.ranges


def percentile_ranges(values: np.ndarray, percentiles: tuple[float, float]) -> Ranges:
    """Percentiles of values (n, C) by channel; (0, 1) where a channel has no number."""
    found = []
    for channel in values.T:
        numbers = channel[np.isfinite(channel)] if channel.dtype.kind == "f" else channel
        pair = np.percentile(numbers, percentiles) if len(numbers) else (0.0, 1.0)
        found.append((float(pair[0]), float(pair[1])))
    return tuple(found)


def mapped(values: np.ndarray, ranges: Ranges | None) -> np.ndarray:
    """Numbers (h, w, C) → uint8 (h, w, C); what is no number becomes 0, and a channel of one value 0 or 255."""
    if values.dtype.kind == "b":
        values = values.astype(np.uint8) * np.uint8(255)
    if ranges is None:
        return values
    result = np.empty(values.shape, np.uint8)
    for i, (low, high) in enumerate(ranges):
        scale = 255 / (high - low) if high > low else np.inf
        with np.errstate(invalid="ignore"):  # 0 · inf
            scaled = (values[..., i].astype(np.float32) - np.float32(low)) * np.float32(scale)
        result[..., i] = np.rint(np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255))
    return result


def _limits(dtype: np.dtype) -> tuple[float, float]:
    if dtype.kind == "b":
        return 0.0, 1.0
    return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
