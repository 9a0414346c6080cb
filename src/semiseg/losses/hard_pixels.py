"""Which labelled pixels are still hard: the others are left out of a loss (OHEM; Shrivastava et al., CVPR 2016)."""

from __future__ import annotations

import torch
from torch import Tensor

from semiseg.runtime.precision import at_least_single


@torch.no_grad()
def hard_labels(logits: Tensor, labels: Tensor, threshold: float, least: float, ignore_index: int = 255) -> Tensor:
    """Labels of the pixels to which the network gives their class with less than ``threshold``.

    At least the share ``least`` of the labelled pixels stays, the hardest ones; pixels as hard as the last of these
    stay as well. Of several processes each looks at its own crops.

    Args:
        logits: (B, C, H, W) float.
        labels: (B, H, W) int64; ``ignore_index`` stays ignored.
        threshold: probability in [0, 1].
        least: share in [0, 1].

    Returns:
        (B, H, W) int64, ``ignore_index`` where a pixel is easy.
    """
    valid = labels != ignore_index
    log_p = at_least_single(logits).log_softmax(dim=1)
    own = log_p.gather(1, labels.where(valid, 0)[:, None])[:, 0].exp().where(valid, torch.inf)
    ranked = own.flatten().sort().values
    last = (torch.ceil(least * valid.sum()).long() - 1).clamp_min(0)
    hard = (own < threshold) | ((own <= ranked[last]) & (least > 0))
    return labels.where(hard & valid, ignore_index)
