"""How alike queries are to many keys, in pieces: the table of all similarities is never whole."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

TABLE = 2**24  # similarities at a time: 64 MiB in single precision


def similar_keys(
    queries: Tensor, labels: Tensor, keys: Tensor, key_labels: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """log Σ e^(<q, k>/T) of each query over the keys of its label, and over those of other labels.

    The gradient of a query is kept instead of its similarities, so that memory grows with N + M and not with N·M. Keys
    have none.

    Args:
        queries: (N, D) float.
        labels: (N,) int64.
        keys: (M, D) of the same dtype, M > 0.
        key_labels: (M,) int64; a key below 0 is none.
        temperature: T.

    Returns:
        (N,) and (N,); half of the lowest finite number, without a gradient, where there is no such key.
    """
    same, other = _Sums.apply(queries, labels, keys, key_labels, temperature)  # type: ignore[no-untyped-call]
    return same, other


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, labels: Tensor, keys: Tensor, key_labels: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        most = max(1, TABLE // len(keys))
        pieces = zip(torch.split(queries, most), torch.split(labels, most), strict=True)
        found = [_piece(q, own, keys, key_labels, temperature) for q, own in pieces]
        same, other, to_same, to_other = (torch.cat(parts) for parts in zip(*found, strict=True))
        ctx.save_for_backward(to_same, to_other)
        return same, other

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        of_queries = sum(g[:, None] * to for g, to in zip(given, ctx.saved_tensors, strict=True))
        return of_queries, None, None, None, None


def _piece(q: Tensor, labels: Tensor, keys: Tensor, key_labels: Tensor, temperature: float) -> list[Tensor]:
    """Both sums and the gradient of each with respect to its query."""
    logits = q @ keys.T / temperature
    own, kept = labels[:, None] == key_labels, key_labels >= 0
    sums, gradients = [], []
    for among in (own & kept, ~own & kept):
        total = logits.masked_fill(~among, torch.finfo(logits.dtype).min / 2).logsumexp(dim=1)
        shares = (logits - total[:, None]).exp().masked_fill(~among, 0)
        sums.append(total)
        gradients.append(shares @ keys / temperature)
    return [*sums, *gradients]
