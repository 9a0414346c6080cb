"""Direct entropy minimisation, eq. 7."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from semiseg.runtime.distributed import mean
from semiseg.runtime.precision import at_least_single


def entropy(
    logits: Tensor,
    valid: Tensor | None = None,
    base: Literal["natural", "classes"] = "natural",
    across_processes: bool = False,
    divisor: Literal["valid", "pixels"] = "valid",
) -> Tensor:
    """Eq. 7: L_ent = -1/N Σ_n Σ_c f log f for one view; the mean over the A views is the caller's.

    Args:
        logits: (B, C, H, W) float, the student's predictions before the softmax.
        valid: (B, H, W) bool; when given, only these pixels add something: padding is no image.
        base: ``"natural"`` logarithm (the paper) or ``"classes"``: divided by ln C, so that 1 is the
            highest value (the authors' code).
        divisor: the number of ``"valid"`` pixels (the authors' code) or N, all ``"pixels"`` (eq. 7, where the others
            add 0 as ignored ones do in eq. 3).
        across_processes: ``valid`` pixels are counted over all processes, whose losses are averaged by the caller.

    Returns:
        Scalar tensor, float32 at least, in nats for ``"natural"``; 0 when no pixel is valid.
    """
    log_probabilities = at_least_single(logits).log_softmax(dim=1)
    per_pixel = -(log_probabilities.exp() * log_probabilities).sum(dim=1)
    if base == "classes":
        per_pixel = per_pixel / math.log(logits.shape[1])
    if valid is None:
        return per_pixel.mean()
    if divisor == "pixels":
        return (per_pixel * valid).mean()
    count = valid.sum().to(per_pixel.dtype)
    return (per_pixel * valid).sum() / (mean(count) if across_processes else count).clamp_min(1e-12)
