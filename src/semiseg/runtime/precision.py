"""Which passes run in half precision, and where it must not reach."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from semiseg.errors import UsageError

# The names of ``training.precision``, then PyTorch's own.
PRECISIONS = {
    "fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16,
    "float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16,
}  # fmt: skip


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Autocast to bf16 or fp16 on this kind of device; for fp32 a context that does nothing.

    Raises:
        UsageError: no such precision; the message lists the names.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"no precision {precision!r}; choose one of {', '.join(PRECISIONS)}")
    dtype = PRECISIONS[precision]
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


def not_halved(device: torch.device) -> AbstractContextManager[Any]:
    """No autocast on this kind of device, for sums that eight bits are too few for; the meta device has none."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def at_least_single(values: Tensor) -> Tensor:
    """Half precision brought to float32, anything finer as it is."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
