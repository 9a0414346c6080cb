"""Consistency of two predictions: the squared distance of French et al. (2020), section 3."""

from __future__ import annotations

from torch import Tensor


def consistency(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of two class distributions (B, C, H, W), summed over classes, mean over pixels."""
    return (student - teacher).square().sum(dim=1).mean()
