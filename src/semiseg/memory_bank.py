"""The class-wise memory bank and the feature quality filter (section 3.4, "Memory Bank").

One queue of ψ vectors per class, first in first out, filled from labelled target images only. The whole
bank is one tensor, and a push is sorting and one scatter: no loop over classes, nothing read back from
the device.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

COMPARED = 4096  # vectors compared with the bank at a time: bounds the table of similarities


def feature_quality_filter(probabilities: Tensor, labels: Tensor, threshold: float = 0.95) -> Tensor:
    """Feature quality filter: the teacher is right *and* confident (section 3.4; φ = 0.95, section 4.2).

    Args:
        probabilities: (B, C, h, w) the teacher's softmax at the features' resolution.
        labels: (B, h, w) int64, down-sampled to it; ignored labels never pass.
        threshold: φ; the confidence must be above it.

    Returns:
        (B, h, w) bool.
    """
    confidence, predicted = probabilities.max(dim=1)
    return (predicted == labels) & (confidence > threshold)


def bank_similarity(vectors: Tensor, labels: Tensor, num_classes: int) -> tuple[float | None, float | None]:
    """How alike the stored vectors are: mean cosine similarity of two of one class, and of two of different classes.

    The loss only attracts (eq. 11), so it is also small where all classes have fallen together: then both are near 1.
    Every class, and every pair of classes, counts alike.

    Args:
        vectors: (M, D) float, of any length.
        labels: (M,) int64 in 0…C-1.
        num_classes: C.

    Returns:
        within, None where no class has two vectors; and between, None with fewer than two classes.
    """
    directions, labels = F.normalize(vectors.cpu().double(), dim=1), labels.cpu()  # not every device has float64
    sums = directions.new_zeros(num_classes, vectors.shape[1]).index_add(0, labels, directions)
    counts = torch.bincount(labels, minlength=num_classes).to(sums)
    several, present = counts > 1, counts > 0
    within = ((sums.square().sum(dim=1) - counts) / (counts * (counts - 1)))[several]
    means = (sums / counts.clamp_min(1)[:, None])[present]
    classes = len(means)
    pairs = means.sum(dim=0).square().sum() - means.square().sum()
    return (
        float(within.mean()) if len(within) else None,
        float(pairs / (classes * (classes - 1))) if classes > 1 else None,
    )


def vectors_per_image(size: int, labelled: int) -> int:
    """K = max(1, ψ/|X_l|), vectors pushed per image and class (section 4.2)."""
    return max(1, size // max(labelled, 1))


def _rank_in_group(starts: Tensor) -> Tensor:
    """Position of each row within its group, given (N,) bool that is true where a group starts."""
    position = torch.arange(len(starts), device=starts.device)
    return position - torch.where(starts, position, torch.zeros_like(position)).cummax(0).values


def _by_class_image_score(labels: Tensor, scores: Tensor, image_ids: Tensor, keep: str) -> Tensor:
    """Order of the rows by class, then image, then best first; of equals the earlier row first."""
    order = (scores if keep == "lowest" else -scores).argsort(stable=True)
    order = order[image_ids[order].argsort(stable=True)]
    return order[labels[order].argsort(stable=True)]


def _best(classes: Tensor, images: Tensor, per_image: int) -> Tensor:
    """(N,) bool for rows in that order: among the first ``per_image`` of their class and image."""
    starts = torch.ones_like(classes, dtype=torch.bool)
    starts[1:] = (classes[1:] != classes[:-1]) | (images[1:] != images[:-1])
    return _rank_in_group(starts) < per_image


def shortlist(
    vectors: Tensor,
    labels: Tensor,
    scores: Tensor,
    image_ids: Tensor,
    per_image: int,
    num_classes: int,
    images: int,
    keep: Literal["highest", "lowest"] = "highest",
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The rows that :meth:`MemoryBank.push` would keep, at a fixed length: what one process sends to the others.

    Args:
        vectors, labels, scores, image_ids, per_image, keep: as for ``push``.
        num_classes: C.
        images: how many images the rows come from at most.

    Returns:
        vectors, labels, scores, image_ids with min(N, images·C·per_image) rows; label -1 where there are fewer.
    """
    inside = (labels >= 0) & (labels < num_classes)
    labels = labels.where(inside, num_classes)
    order = _by_class_image_score(labels, scores, image_ids, keep)
    kept = _best(labels[order], image_ids[order], per_image) & (labels[order] < num_classes)
    front = (~kept).to(torch.int8).argsort(stable=True)[: images * num_classes * per_image]
    chosen = order[front]
    return vectors[chosen], labels[chosen].where(kept[front], -1), scores[chosen], image_ids[chosen]


class MemoryBank(nn.Module):
    """ψ projection vectors per class in first-in-first-out queues; all state is in ``state_dict()``.

    Args:
        num_classes: C.
        dim: D, width of the projection vectors.
        size: ψ = 256 vectors per class (section 4.2, Table 7).
    """

    slots: Tensor
    counts: Tensor
    heads: Tensor

    def __init__(self, num_classes: int, dim: int, size: int = 256) -> None:
        super().__init__()
        self.num_classes, self.dim, self.size = num_classes, dim, size
        self.register_buffer("slots", torch.zeros(num_classes, size, dim))
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer("heads", torch.zeros(num_classes, dtype=torch.int64))  # next slot to write

    @torch.no_grad()
    def push(
        self,
        vectors: Tensor,
        labels: Tensor,
        scores: Tensor,
        image_ids: Tensor,
        per_image: int,
        keep: Literal["highest", "lowest"] = "highest",
    ) -> None:
        """Push the ``per_image`` best vectors of every image and class (section 3.4).

        Args:
            vectors: (N, D) teacher projections, stored as they are.
            labels: (N,) int64; rows outside 0…C-1 (ignored, or stopped by the quality filter) are skipped.
            scores: (N,) ranking scores R_c = S_{c,ξ}(z).
            image_ids: (N,) int64, which image a row comes from.
            per_image: K, see :func:`vectors_per_image`.
            keep: ``"highest"`` scores (the paper) or ``"lowest"`` (the authors' code).

        Of equal scores the earlier row goes first. Vectors enter the queues by ascending image id, then best
        first. A push of more than ψ vectors of one class keeps the last ψ of them: first in, first out.
        """
        labels = labels.where((labels >= 0) & (labels < self.num_classes), self.num_classes)
        order = _by_class_image_score(labels, scores, image_ids, keep)
        classes = labels[order]
        kept = _best(classes, image_ids[order], per_image) & (classes < self.num_classes)

        pushed = torch.zeros_like(self.counts).index_add(
            0, classes.clamp_max(self.num_classes - 1), kept.to(torch.int64)
        )
        # Order of a kept row among the kept rows of its class = running count minus that of earlier classes.
        before = torch.cat([pushed.new_zeros(1), pushed.cumsum(0)])[:-1]
        row_class = classes.clamp_max(self.num_classes - 1)
        turn = kept.to(torch.int64).cumsum(0) - 1 - before[row_class]
        kept &= turn >= (pushed - self.size)[row_class]
        slot = row_class * self.size + (self.heads[row_class] + turn) % self.size

        # Rows that are not kept are written to one spare row behind the bank, so shapes stay fixed.
        flat = torch.cat([self.slots.flatten(0, 1), self.slots.new_zeros(1, self.dim)])
        spare = torch.full_like(slot, self.num_classes * self.size)
        flat[slot.where(kept, spare)] = vectors[order].to(flat.dtype)
        self.slots.copy_(flat[:-1].view_as(self.slots))
        self.heads.copy_((self.heads + pushed) % self.size)
        self.counts.copy_((self.counts + pushed).clamp_max(self.size))

    @property
    def occupied(self) -> Tensor:
        """(C, ψ) bool: slots that hold a vector."""
        return torch.arange(self.size, device=self.counts.device) < self.counts[:, None]

    @property
    def slot_labels(self) -> Tensor:
        """(C·ψ,) int64: class of each slot, C where it is empty; fixed shape, beside ``slots``."""
        classes = torch.arange(self.num_classes, device=self.counts.device)[:, None]
        return classes.where(self.occupied, self.num_classes).flatten()

    def _oldest_first(self) -> Tensor:
        """(C, ψ) slot numbers, the oldest vector of each class first."""
        start = (self.heads - self.counts) % self.size
        return (start[:, None] + torch.arange(self.size, device=start.device)) % self.size

    @property
    def vectors(self) -> Tensor:
        """(M, D): what is stored, by class and the oldest first."""
        ordered = self.slots.gather(1, self._oldest_first()[..., None].expand(-1, -1, self.dim))
        return ordered[self.occupied]

    @property
    def labels(self) -> Tensor:
        """(M,) int64: classes of :attr:`vectors`."""
        return torch.arange(self.num_classes, device=self.counts.device).repeat_interleave(self.counts)

    def distance(self, vectors: Tensor) -> Tensor:
        """Cosine distance of vectors (N, D) to the nearest stored one, (N,) in [0, 2]; the bank must not be empty."""
        stored = F.normalize(self.vectors, dim=1)
        parts = torch.split(F.normalize(vectors, dim=1), COMPARED)
        return 1 - torch.cat([(part @ stored.T).max(dim=1).values for part in parts])

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], prefix: str) -> MemoryBank | None:
        """The bank whose ``state_dict`` stands below ``prefix`` in ``state``; None where there is none."""
        if prefix + "slots" not in state:
            return None
        classes, size, dim = state[prefix + "slots"].shape
        bank = cls(classes, dim, size)
        bank.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
        return bank
