"""Where half precision must not reach."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_single(values: Tensor) -> Tensor:
    """Half precision brought to float32, anything finer as it is."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
