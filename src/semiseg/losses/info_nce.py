"""InfoNCE for every class: pixels drawn from it are told from keys that do not belong to it.

What ReCo (Liu et al., ICLR 2022) and U2PL (Wang et al., CVPR 2022) have in common; they differ in where keys come from.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.runtime.distributed import mean


def drawn(among: Tensor, most: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """At most ``most`` random columns of each row of a table, without replacement; all where there are fewer.

    Args:
        among: (C, N) bool: what may be drawn.
        most: K; the results are min(K, N) wide, whatever the table holds: nothing is read back from the device.
        draws: CPU generator of N numbers.

    Returns:
        (C, K) int64 columns and (C, K) bool: whether they were drawn; the rest are columns without meaning.
    """
    keys = torch.rand(among.shape[1], generator=draws).to(among.device, non_blocking=True)
    found = keys.expand_as(among).masked_fill(~among, 2.0).topk(min(most, among.shape[1]), dim=1, largest=False)
    return found.indices, found.values < 2


def info_nce(
    queries: Tensor,
    filled: Tensor,
    positives: Tensor,
    keys: Sequence[Tensor],
    negatives: Tensor,
    temperature: float,
) -> Tensor:
    """-log(e^(cos(q, z⁺)/T) / (e^(cos(q, z⁺)/T) + Σ_k e^(cos(q, z_k)/T))), mean over the queries of each class.

    Class by class, so that the table of similarities is never larger than one class's.

    Args:
        queries: (C, Q, D) float.
        filled: (C, Q) bool: the queries that count; those of all processes together.
        positives: (C, D) z⁺ of each class, of any length.
        keys: for each class, (M, D) vectors of length 1.
        negatives: (C, Q, K) int64: which keys of its class each query is told from.
        temperature: T.

    Returns:
        (C,) float32 at least; 0 for a class without a query.
    """
    dtype = torch.promote_types(queries.dtype, torch.float32)
    with torch.autocast(queries.device.type, enabled=False):
        q, z = F.normalize(queries.to(dtype), dim=-1), F.normalize(positives.to(dtype), dim=-1)
        of_queries = []
        for c in range(len(q)):
            similar = _similarities(q[c], keys[c].to(dtype), negatives[c])
            logits = torch.cat([(q[c] @ z[c])[:, None], similar], dim=1) / temperature
            of_queries.append(logits.logsumexp(dim=1) - logits[:, 0])
        count = mean(filled.sum(dim=1).to(dtype))
        return (torch.stack(of_queries) * filled).sum(dim=1) / count.clamp_min(1e-12)


def _similarities(queries: Tensor, keys: Tensor, index: Tensor) -> Tensor:
    """Products of each query (Q, D) with its keys, (M, D) at ``index`` (Q, K): whatever is smaller, all products or
    the keys side by side."""
    if index.numel() < len(keys):
        return torch.einsum("qd,qkd->qk", queries, keys[index])
    return (queries @ keys.T).gather(1, index)
