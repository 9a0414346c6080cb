"""The bank in two dimensions: principal components, by torch alone."""

from __future__ import annotations

import torch
from torch import Tensor


def principal_components(vectors: Tensor) -> tuple[Tensor, list[float]]:
    """The two directions of largest variance of unit vectors, by singular values: the same picture on every call.

    Args:
        vectors: (M, D) float; brought to length 1 first, since eq. 9 compares directions.

    Returns:
        (M, 2) coordinates and the share of the variance that each axis holds, in [0, 1]; zeros for the axes that
        fewer than three vectors or dimensions leave out.
    """
    unit = torch.nn.functional.normalize(vectors.double(), dim=1)
    centred = unit - unit.mean(dim=0)
    u, s, vh = torch.linalg.svd(centred, full_matrices=False)
    count = min(2, len(s))
    strongest = vh[:count].gather(1, vh[:count].abs().argmax(dim=1, keepdim=True))
    places = vectors.new_zeros(len(vectors), 2, dtype=torch.float64)
    places[:, :count] = u[:, :count] * s[:count] * strongest.sign().T
    total = float(s.square().sum())
    shares = [float(value) / total if total > 0 else 0.0 for value in s[:count].square()]
    return places, shares + [0.0] * (2 - count)
