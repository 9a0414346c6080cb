"""The contrastive loss between prediction vectors and the memory bank, eqs. 8-11, factorised.

Eq. 8 makes the weights of a class average to 1, so the double sum of eq. 11 falls apart:

    1/(N_P N_Z) Σ_p Σ_z w_p w_z (1 - <p̂, ẑ>) = 1 - < mean_p(w_p p̂), mean_z(w_z ẑ) >,   x̂ = x/‖x‖

Only one weighted mean vector per class is needed on either side: O((N + M)·D), never N×M.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.runtime.distributed import total_with_gradient

SHORTEST = 1e-12  # length below which a vector has no direction, as in F.normalize
LEAST = 1e-30  # sum of a class's scores below which they do not count: gradients stay finite in single precision


def _bins(labels: Tensor, num_classes: int) -> Tensor:
    """Labels outside 0…C-1 go to bin C, so that shapes never depend on the data."""
    return labels.where((labels >= 0) & (labels < num_classes), labels.new_tensor(num_classes))


def normalised_weights(scores: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Eq. 8: w = N_c · S_c(p) / Σ_i S_c(p_i), per class; they average to 1 in every class.

    Args:
        scores: (N,) attention scores in (0, 1).
        labels: (N,) int64; rows outside 0…C-1 get weight 0.
        num_classes: C.

    Returns:
        (N,) weights of the scores' dtype.
    """
    bins = _bins(labels, num_classes)
    sums = scores.new_zeros(num_classes + 1).index_add(0, bins, scores)
    counts = torch.zeros_like(sums).index_add(0, bins, torch.ones_like(scores))
    weights = scores * (counts / sums.clamp_min(LEAST))[bins]
    return weights * (bins < num_classes)


def effective_share(scores: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """How many vectors of a class the weights of eq. 8 leave, as a share of them: (Σw)²/(N_c Σw²).

    1 where all weigh alike, 1/N_c where one has all the weight: an attention that chooses the vectors which are alike
    already makes L_contr small and teaches the features nothing.

    Args:
        scores: (N,) attention scores in (0, 1).
        labels: (N,) int64; rows outside 0…C-1 are left out.
        num_classes: C.

    Returns:
        (C,) float64 in (0, 1], NaN for a class without vectors.
    """
    share, present = _shares(scores.double(), labels, num_classes, across_processes=False)
    return share.where(present, torch.nan)


def lost_share(scores: Tensor, labels: Tensor, num_classes: int, across_processes: bool = False) -> Tensor:
    """1 - (Σw)²/(N_c Σw²), the share of a class's vectors that eq. 8 leaves out, mean over the classes with a vector.

    A penalty on it keeps the attention from choosing a few vectors (:func:`effective_share`); not in the paper.

    Args:
        scores: (N,) attention scores in (0, 1).
        labels: (N,) int64; rows outside 0…C-1 are left out.
        num_classes: C.
        across_processes: every process brings other vectors; the weights are those of all of them.

    Returns:
        Scalar tensor of the scores' dtype, float32 at least, in [0, 1); 0 where no class has a vector.
    """
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    share, present = _shares(scores, labels, num_classes, across_processes)
    return ((1 - share) * present).sum() / present.sum().clamp_min(1)


def _shares(scores: Tensor, labels: Tensor, num_classes: int, across_processes: bool) -> tuple[Tensor, Tensor]:
    """(Σw)²/(N_c Σw²) of every class, (C,), 0 where it has no vector, and (C,) bool: whether it has."""
    bins = _bins(labels, num_classes)
    of_rows = torch.stack([scores, scores.square(), torch.ones_like(scores)], dim=1)
    sums = scores.new_zeros(num_classes + 1, 3).index_add(0, bins, of_rows)[:num_classes]
    total, squares, count = (total_with_gradient(sums) if across_processes else sums).unbind(dim=1)
    return total.square() / (count * squares).clamp_min(torch.finfo(scores.dtype).tiny), count > 0


def class_means(
    vectors: Tensor, labels: Tensor, scores: Tensor, num_classes: int, across_processes: bool = False
) -> tuple[Tensor, Tensor]:
    """mean_p(w_p p̂) of every class: the part of eqs. 8-11 that one side contributes.

    Args:
        vectors: (N, D) float, not normalised (eq. 9 divides by the length).
        labels: (N,) int64; rows outside 0…C-1 are left out.
        scores: (N,) attention scores in (0, 1).
        num_classes: C.
        across_processes: every process brings other vectors; the means are over all of them.

    Returns:
        (C, D) weighted means and (C,) bool: which classes have a vector at all.
    """
    bins = _bins(labels, num_classes)
    order = bins.argsort(stable=True)
    count = torch.zeros(num_classes + 1, dtype=torch.int64, device=bins.device)
    count = count.index_add(0, bins, torch.ones_like(bins))
    # S_p/ΣS · p/‖p‖, the division by ΣS last, on C rows instead of N. An embedding bag is a weighted sum of rows in
    # one kernel, without the two N×D products that normalising and weighting would leave behind.
    weights = scores / torch.linalg.vector_norm(vectors, dim=1).clamp_min(SHORTEST)
    weighted = F.embedding_bag(
        order, vectors, count.cumsum(0) - count, mode="sum", per_sample_weights=weights.to(vectors.dtype)[order]
    )
    sums = scores.new_zeros(num_classes + 1).index_add(0, bins, scores)
    present = count.to(sums.dtype)
    if across_processes:
        joined = total_with_gradient(torch.cat([weighted, sums[:, None], present[:, None]], dim=1))
        weighted, sums, present = joined[:, :-2], joined[:, -2], joined[:, -1]
    means = weighted / sums.clamp_min(LEAST)[:, None]
    return means[:num_classes], present[:num_classes] > 0


def contrastive_loss(
    p: Tensor,
    p_labels: Tensor,
    p_scores: Tensor,
    z: Tensor,
    z_labels: Tensor,
    z_scores: Tensor,
    num_classes: int,
    across_processes: bool = False,
) -> Tensor:
    """Eqs. 8-11: L = 1/C Σ_c 1/N_P 1/N_Z Σ_p Σ_z w_p w_z (1 - cos(p, z)), factorised exactly.

    Args:
        p: (N, D) the student's prediction vectors.
        p_labels: (N,) int64 their classes; rows outside 0…C-1 (ignored pixels) are left out.
        p_scores: (N,) S_c(p) in (0, 1) (eq. 8).
        z: (M, D) the bank's projection vectors.
        z_labels: (M,) int64.
        z_scores: (M,) S_c(z) in (0, 1); all ones give the authors' constant w_z.
        num_classes: C; stays the divisor when a class has no p or no z and adds 0.
        across_processes: every process brings other p and the same z (the bank): the loss is that of all p together,
            the same on each.

    Returns:
        Scalar tensor in [0, 2]; 0 when no class has both sides.
    """
    # Sums over tens of thousands of vectors: never below single precision, also within an autocast region.
    dtype = torch.promote_types(torch.promote_types(p.dtype, p_scores.dtype), torch.float32)
    with torch.autocast(p.device.type, enabled=False):
        p_mean, p_present = class_means(p.to(dtype), p_labels, p_scores.to(dtype), num_classes, across_processes)
        z_mean, z_present = class_means(z.to(dtype), z_labels, z_scores.to(dtype), num_classes)
        distances = 1 - (p_mean * z_mean).sum(dim=1)
        return (distances * (p_present & z_present)).sum() / num_classes
