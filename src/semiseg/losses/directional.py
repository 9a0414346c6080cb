"""Directional contrast (Lai et al., CVPR 2021): of two views of a place the less sure one is drawn to the other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.losses.similar_keys import similar_keys
from semiseg.runtime.distributed import mean


def directional_contrast(
    vectors: Tensor,
    others: Tensor,
    labels: Tensor,
    directed: Tensor,
    keys: Tensor,
    key_labels: Tensor,
    temperature: float = 0.1,
) -> Tensor:
    """-log(e^(cos(z, z')/T) / (e^(cos(z, z')/T) + Σ_{k of another label} e^(cos(z, k)/T))), mean over directed places.

    Args:
        vectors: (N, D) float z, which alone has a gradient.
        others: (N, D) float z', the same places in the other view.
        labels: (N,) int64, pseudo-labels of z; keys of the same label are no negatives.
        directed: (N,) bool: places where the other view is surer, those of all processes together.
        keys: (M, D) vectors of length 1.
        key_labels: (M,) int64; a key below 0 is none.
        temperature: T.

    Returns:
        Scalar, float32 at least; 0 where no place is directed.
    """
    dtype = torch.promote_types(vectors.dtype, torch.float32)
    with torch.autocast(vectors.device.type, enabled=False):
        z, other = F.normalize(vectors.to(dtype), dim=1), F.normalize(others.detach().to(dtype), dim=1)
        _, negative = similar_keys(z, labels, keys.to(dtype), key_labels, temperature)
        of_places = F.softplus(negative - (z * other).sum(dim=1) / temperature)
        return (of_places * directed).sum() / mean(directed.sum().to(dtype)).clamp_min(1e-12)
