"""How differently the classes of two patches lie: a pyramid of histograms, and a contrast of patches that are alike."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.networks.critic import one_hot
from semiseg.runtime.distributed import mean
from semiseg.runtime.precision import at_least_single

NOTHING = -1e4  # a similarity that adds nothing to a sum of exponentials, and no NaN where a sum has nothing else


def layouts(labels: Tensor, num_classes: int, grid: tuple[int, int], levels: int) -> tuple[Tensor, Tensor]:
    """Histograms of the classes in every patch, in its quarters, in their quarters and so on (Liu et al., 2021).

    The L1 distance of two rows, ``torch.cdist(a, b, p=1)``, is the distance of two layouts: ½ ‖h - h'‖₁ of equal parts,
    mean over the parts of a level, then over the levels; in [0, 1]. An unknown pixel is half as far from a class as
    another class is.

    Args:
        labels: (B, H, W) int64; pixels outside 0…C-1 are unknown.
        num_classes: C.
        grid: rows and columns of patches in an image.
        levels: L; the finest level divides a patch into 4^(L-1) parts.

    Returns:
        (B·rows·columns, ·) float32, and (B·rows·columns,) the share of a patch's pixels that is known.
    """
    rows, columns = grid
    finest = 2 ** (levels - 1)
    shares = F.adaptive_avg_pool2d(one_hot(labels, num_classes), (rows * finest, columns * finest))
    found = []
    for level in range(levels):
        parts = 2**level
        coarse = F.avg_pool2d(shares, finest // parts)
        divided = coarse.reshape(*coarse.shape[:2], rows, parts, columns, parts)
        found.append(divided.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(0, 2) / parts**2)
    return torch.cat(found, dim=1) / (2 * levels), found[0].sum(dim=1)


def contrast_of_alike(anchors: Tensor, keys: Tensor, alike: Tensor, compared: Tensor, temperature: float) -> Tensor:
    """-log(Σ_alike e^(cos(a, k)/T) / Σ_compared e^(cos(a, k)/T)), mean over the anchors to which a key is alike.

    Args:
        anchors: (N, D) float.
        keys: (M, D) float.
        alike: (N, M) bool.
        compared: (N, M) bool: which pairs there are at all, those of this process.
        temperature: T.

    Returns:
        Scalar tensor, float32 at least; 0 where no pair is alike.
    """
    with torch.autocast(anchors.device.type, enabled=False):
        a, k = (F.normalize(at_least_single(vectors), dim=1) for vectors in (anchors, keys))
        similar = a @ k.T / temperature
        chosen = alike & compared
        of_all, of_alike = (similar.masked_fill(~pairs, NOTHING).logsumexp(dim=1) for pairs in (compared, chosen))
        counts = chosen.any(dim=1)
        return ((of_all - of_alike) * counts).sum() / mean(counts.sum().to(similar.dtype)).clamp_min(1e-12)
