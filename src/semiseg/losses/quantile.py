"""A quantile of the valid pixels of all processes, on the device."""

from __future__ import annotations

import torch
from torch import Tensor

from semiseg.runtime.distributed import gathered


def valid_quantile(values: Tensor, valid: Tensor, share: float) -> Tensor:
    """The smallest value that at least ``share`` of the valid ones do not exceed.

    Args:
        values: (…) float, finite.
        valid: (…) bool: which count, those of all processes together.
        share: in [0, 1]; 0 gives -∞, so that no value is at or below it.

    Returns:
        Scalar tensor; -∞ where nothing is valid.
    """
    ordered = gathered(values.masked_fill(~valid, torch.inf).flatten()).sort().values
    count = ordered.isfinite().sum()
    last = (share * count - 1e-6).ceil().long() - 1  # rounding of the product asks for no more
    found = ordered[last.clamp(0, len(ordered) - 1)]
    return found.where(last >= 0, -torch.inf)
