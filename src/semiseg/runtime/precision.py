"""Half precision: where it is used, and where it must not reach."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Autocast of passes on ``device`` for ``bf16`` and ``fp16``; nothing for ``fp32``."""
    return torch.autocast(device.type, TYPES[precision]) if precision in TYPES else nullcontext()


def at_least_single(values: Tensor) -> Tensor:
    """Half precision brought to float32, anything finer as it is."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
