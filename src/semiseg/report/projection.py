"""The vectors of the bank in two dimensions: principal components, with torch alone."""

from __future__ import annotations

import torch
from torch import Tensor


def principal_components(vectors: Tensor) -> tuple[Tensor, list[float]]:
    """Coordinates along the two directions of largest variance, by singular values: the same on every call.

    Args:
        vectors: (M, D) float; brought to length 1 first, since eq. 9 compares directions.

    Returns:
        Coordinates, float64 (M, 2), and the share of the variance along each axis, in [0, 1]; both are zero for an axis
        that does not exist with so few vectors or dimensions.
    """
    unit = torch.nn.functional.normalize(vectors.double(), dim=1)
    centred = unit - unit.mean(dim=0)
    u, s, vh = torch.linalg.svd(centred, full_matrices=False)
    count = min(2, len(s))
    strongest = vh[:count].gather(1, vh[:count].abs().argmax(dim=1, keepdim=True))
    coordinates = vectors.new_zeros(len(vectors), 2, dtype=torch.float64)
    coordinates[:, :count] = u[:, :count] * s[:count] * strongest.sign().T
    total = float(s.square().sum())
    shares = [float(value) / total if total > 0 else 0.0 for value in s[:count].square()]
    return coordinates, shares + [0.0] * (2 - count)
