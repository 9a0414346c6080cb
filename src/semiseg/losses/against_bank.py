"""The contrast of prediction vectors with the memory bank where other classes repel: not in the paper.

Eq. 11 only attracts. This is the supervised InfoNCE that PixCon (Tarubinga, 2026) puts in its place, in the frame of
eqs. 8 and 11: weighted means over the vectors of a class, then over the classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.losses.contrastive import LEAST
from semiseg.losses.similar_keys import similar_keys
from semiseg.runtime.distributed import total_with_gradient


def contrast_against_bank(
    p: Tensor,
    p_labels: Tensor,
    p_scores: Tensor,
    z: Tensor,
    z_labels: Tensor,
    num_classes: int,
    temperature: float = 0.1,
    across_processes: bool = False,
) -> Tensor:
    """L = 1/C Σ_c 1/N_P Σ_p w_p · -log(Σ_{z of c} e^(cos(p, z)/T) / Σ_z e^(cos(p, z)/T)), w_p by eq. 8.

    Args:
        p: (N, D) the student's prediction vectors.
        p_labels: (N,) int64 their classes; rows outside 0…C-1 are left out.
        p_scores: (N,) S_c(p) in (0, 1) (eq. 8); all ones for a plain mean.
        z: (M, D) the bank's vectors, which have no gradient.
        z_labels: (M,) int64; rows outside 0…C-1 are left out.
        num_classes: C; stays the divisor when a class has no p or no z and adds 0.
        temperature: T.
        across_processes: every process brings other p and the same z: the loss is that of all p, the same on each.

    Returns:
        Scalar tensor, not negative; 0 when no class has both sides. The table of N·M similarities is never whole.
    """
    dtype = torch.promote_types(torch.promote_types(p.dtype, p_scores.dtype), torch.float32)
    with torch.autocast(p.device.type, enabled=False):
        bins, z_bins = (
            labels.where((labels >= 0) & (labels < num_classes), num_classes) for labels in (p_labels, z_labels)
        )
        stored = torch.zeros(num_classes + 1, dtype=torch.bool, device=p.device)
        stored = stored.index_fill(0, z_bins, True)[:-1]
        directions, keys = F.normalize(p.to(dtype), dim=1), F.normalize(z.detach().to(dtype), dim=1)
        same, other = similar_keys(directions, bins, keys, z_bins.where(z_bins < num_classes, -1), temperature)
        of_vectors = F.softplus(other - same).where(F.pad(stored, (0, 1))[bins], 0)
        scores = p_scores.to(dtype)
        sums = scores.new_zeros(num_classes + 1, 2)
        sums = sums.index_add(0, bins, torch.stack([scores * of_vectors, scores], dim=1))[:-1]
        weighted, scored = (total_with_gradient(sums) if across_processes else sums).unbind(dim=1)
        return (weighted / scored.clamp_min(LEAST)).sum() / num_classes
