"""Labelled crops from two domains, X_l and X_d (section 4.3.2): which of them each position of the run takes."""

from __future__ import annotations

from typing import Any, Literal

import torch

from semiseg.data.loading import CropDataset, PositionedCrops

Sampling = Literal["even", "alternating", "late"]
"""How labelled crops are shared between the domains: see :func:`domain_position`; ``data.source.sampling``."""

LATE = 100  # the last batches of a run, in which the authors' later code draws from X_d


def domain_position(position: int, sampling: Sampling, batch_size: int, batches: int) -> tuple[bool, int]:
    """The domain that a position in the stream of labelled crops takes, and the position within that domain.

    Args:
        position: of the crop in the run; batch b holds positions b·B … (b + 1)·B - 1.
        sampling: ``even``: target and source in turn, so that each is half of every batch (for odd B, of every two
            batches); ``alternating``: whole batches in turn; ``late``: the source in every second of the last 100
            batches, the target in all others.
        batch_size: B, over all ranks.
        batches: of the whole run.

    Returns:
        Whether it is a target crop, and its position within that domain: each domain's positions follow one another
        without gaps, so that its epochs are whole.
    """
    if sampling == "even":
        return position % 2 == 0, position // 2
    batch, offset = divmod(position, batch_size)
    first = 0 if sampling == "alternating" else max(0, batches - LATE)
    since = max(0, batch - first)
    before = since // 2  # batches of the source so far
    if batch >= first and since % 2 == 1:
        return False, before * batch_size + offset
    return True, (batch - before) * batch_size + offset


class TwoDomains(PositionedCrops):
    """Crops of X_l and X_d in one sequence of positions; each item says whether it comes from the target.

    Args:
        target, source: crops of the two domains, of one size.
        sampling, batch_size, batches: see :func:`domain_position`.
    """

    def __init__(
        self, target: CropDataset, source: CropDataset, sampling: Sampling, batch_size: int, batches: int
    ) -> None:
        self.target, self.source = target, source
        self.sampling: Sampling = sampling
        self.batch_size, self.batches, self.seed = batch_size, batches, target.seed

    def __getitem__(self, position: int) -> dict[str, Any]:
        """A crop of :class:`CropDataset` with ``target``, a bool tensor."""
        is_target, within = domain_position(position, self.sampling, self.batch_size, self.batches)
        return (self.target if is_target else self.source)[within] | {"target": torch.tensor(is_target)}
