"""What decoders normalise with: the batch, or each image by itself."""

from __future__ import annotations

from typing import Literal

from torch import nn

Norm = Literal["batch", "group"]
GROUP_CHANNELS = 16  # Wu and He, "Group Normalization", ECCV 2018, Table 3


def norm(kind: Norm, channels: int) -> nn.Module:
    """A layer that normalises maps (B, channels, h, w), with a scale and a shift for every channel.

    Args:
        kind: ``"batch"``, BatchNorm, whose statistics in training are those of the batch; or ``"group"``, GroupNorm
            (Wu and He, ECCV 2018), whose statistics are those of each image alone, whatever the batch.
        channels: they are divided into as many equal groups as there may be of at least ``GROUP_CHANNELS``, or one:
            smaller groups would leave nothing of a map of one pixel.
    """
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    groups = max(1, channels // GROUP_CHANNELS)
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels)
