"""Consistency of two predictions: the squared distance of French et al. (2020), section 3."""

from __future__ import annotations

from torch import Tensor

from semiseg.runtime.distributed import mean
from semiseg.runtime.precision import at_least_single


def consistency(student: Tensor, teacher: Tensor, valid: Tensor | None = None, seen: Tensor | None = None) -> Tensor:
    """Squared distance of two class distributions, summed over classes, mean over pixels.

    Args:
        student, teacher: (B, C, H, W) probabilities.
        valid: (B, H, W) bool: pixels that count, those of all processes together; None: all.
        seen: (B, H, W) bool: those of them whose distance is more than 0, such as what was not cut out; None: all.

    Returns:
        Scalar tensor in [0, 2]; 0 where no pixel is valid.
    """
    distances = (student - teacher).square().sum(dim=1)
    if seen is not None:
        distances = distances * seen
    return distances.mean() if valid is None else valid_mean(distances, valid)


def valid_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of ``values`` (B, H, W) over ``valid`` (B, H, W) bool pixels of all processes; 0 where there is none.

    Divided by what one process sees on average, so that the mean over the processes, which data-parallel training takes
    of losses and gradients, is the mean over all valid pixels.
    """
    values = at_least_single(values) if values.is_floating_point() else values.float()
    count = mean(valid.sum().to(values.dtype))
    return (values * valid).sum() / count.clamp_min(1e-12)
