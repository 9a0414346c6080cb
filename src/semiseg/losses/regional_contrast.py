"""Regional contrast, ReCo (Liu et al., ICLR 2022): hard pixels of a class against the classes that resemble it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.losses.contrastive import class_means
from semiseg.losses.info_nce import drawn, info_nce
from semiseg.runtime.distributed import gathered
from semiseg.runtime.precision import at_least_single


def regional_contrast(
    vectors: Tensor,
    labels: Tensor,
    hard: Tensor,
    num_classes: int,
    draws: torch.Generator,
    queries: int = 256,
    negatives: int = 512,
    temperature: float = 0.5,
) -> Tensor:
    """L_reco = 1/|classes present| Σ_c mean_q -log(e^(cos(q, r⁺)/T) / (e^(cos(q, r⁺)/T) + Σ_k e^(cos(q, r⁻_k)/T))).

    Queries q are drawn from the hard pixels of class c. r⁺ is the mean of its vectors, and the class of each of the
    negative keys r⁻ is drawn from the others by the softmax of cos(r⁺_c, r⁺_j)/T. Only queries have a gradient.

    Args:
        vectors: (N, D) float.
        labels: (N,) int64; rows outside 0…C-1 are left out.
        hard: (N,) bool: rows that may be queries.
        num_classes: C.
        draws: CPU generator.
        queries: at most so many of each class, in each process.
        negatives: keys of each query; as many vectors of each class, at most, are those they are drawn from.
        temperature: T, of both softmaxes.

    Returns:
        Scalar, float32 at least; means and keys are those of all processes together. 0 with fewer than two classes.
    """
    vectors = at_least_single(vectors)
    classes = torch.arange(num_classes, device=labels.device)
    own = labels == classes[:, None]
    with torch.no_grad(), torch.autocast(vectors.device.type, enabled=False):
        # Weighted by its length each vector counts whole, and only the mean's direction is asked for.
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        means, present = class_means(vectors, labels, lengths, num_classes, across_processes=True)
        index, kept = drawn(own, negatives, draws)
        key_labels = gathered(classes[:, None].where(kept, num_classes).flatten())
        keys = gathered(F.normalize(vectors[index].flatten(0, 1), dim=1))
        chances = _chances(means, present, key_labels, temperature).cumsum(dim=1)
    index, filled = drawn(own & hard, queries, draws)
    uniform = torch.rand(num_classes, index.shape[1] * negatives, generator=draws).to(chances)
    chosen = torch.searchsorted(chances, uniform * chances[:, -1:], right=True).clamp_max(len(keys) - 1)
    filled = filled & (present.sum() > 1)
    chosen = chosen.view(*index.shape, negatives)
    of_classes = info_nce(vectors[index], filled, means, [keys] * num_classes, chosen, temperature)
    return of_classes.sum() / present.sum().clamp_min(1)


def _chances(means: Tensor, present: Tensor, key_labels: Tensor, temperature: float) -> Tensor:
    """(C, M): chance of each of M keys to be a negative of each class; label C marks a key that is none."""
    num_classes = len(means)
    directions = F.normalize(means, dim=1)
    similar = directions @ directions.T / temperature
    others = present & ~torch.eye(num_classes, dtype=torch.bool, device=means.device)
    relation = similar.masked_fill(~others, torch.finfo(similar.dtype).min).softmax(dim=1)
    count = similar.new_zeros(num_classes + 1).index_add(
        0, key_labels, torch.ones_like(key_labels, dtype=similar.dtype)
    )
    share = F.pad(relation / count[:-1].clamp_min(1), (0, 1))
    return share[:, key_labels]
