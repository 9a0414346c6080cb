"""Feature matching (Salimans et al., NeurIPS 2016): two batches must look alike to a critic on average."""

from __future__ import annotations

from torch import Tensor

from semiseg.runtime.distributed import total, total_with_gradient


def feature_matching(one: Tensor, other: Tensor, one_valid: Tensor, other_valid: Tensor) -> Tensor:
    """mean_d |mean_i one[i, d] - mean_j other[j, d]|, the means over the valid rows of all processes.

    Args:
        one, other: (N, D) and (M, D) float features.
        one_valid, other_valid: (N,) and (M,) bool.

    Returns:
        Scalar tensor, the same in every process; 0 where a side has no valid row.
    """
    (first, some), (second, others) = _mean(one, one_valid), _mean(other, other_valid)
    return (first - second).abs().mean() * (some * others > 0)


def _mean(rows: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of the valid rows of all processes, (D,), and their number."""
    count = total(valid.sum().to(rows.dtype))
    return total_with_gradient((rows * valid[:, None]).sum(dim=0)) / count.clamp_min(1), count
