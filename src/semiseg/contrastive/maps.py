"""Feature maps, logits and labels brought to the size at which vectors are compared."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FINEST_STRIDE = 8  # section 4.2, "Other details": features are compared at DeepLab's output resolution


def downsample_labels(labels: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Labels (B, H, W) brought to ``size``, the pixel at each cell's centre (section 4.2)."""
    return F.interpolate(labels[:, None].float(), size=tuple(size), mode="nearest-exact")[:, 0].long()


def rows(features: Tensor) -> Tensor:
    """(B, D, h, w) → (B·h·w, D): one vector a pixel."""
    return features.permute(0, 2, 3, 1).flatten(0, 2)


def coarsened(maps: Tensor, height: int) -> Tensor:
    """Maps (B, ·, h, w) of images ``height`` pixels high, averaged down to stride 8 where they are finer."""
    factor = FINEST_STRIDE // max(1, round(height / maps.shape[-2]))
    return F.avg_pool2d(maps, factor, ceil_mode=True) if factor > 1 else maps


def resized(logits: Tensor, size: torch.Size) -> Tensor:
    """Logits (B, C, h, w) averaged over the cells of a feature map of another ``size``."""
    return logits if logits.shape[-2:] == size else F.adaptive_avg_pool2d(logits, (size[0], size[1]))
