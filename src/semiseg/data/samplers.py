"""Sampling as a function of the position in the run: nothing to save, nothing to lose at a resume."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from torch.utils.data import Sampler


def generator(seed: int, stream: str, *numbers: int) -> np.random.Generator:
    """A NumPy generator for one position of a run; streams ("labelled", "unlabelled", …) are independent."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(stream.encode()), *numbers]))


@lru_cache(maxsize=8)
def _permutation(count: int, seed: int, stream: str, epoch: int) -> np.ndarray:
    return generator(seed, stream, 0, epoch).permutation(count)


def position_to_index(position: int, count: int, seed: int, stream: str) -> int:
    """Which of ``count`` images is at ``position`` of an endless sequence of shuffled epochs.

    Epoch e = position // count is a permutation seeded by (seed, stream, e), so a run continues at any position
    without state, and every image comes once an epoch.
    """
    epoch, step = divmod(position, count)
    return int(_permutation(count, seed, stream, epoch)[step])


class PositionSampler(Sampler[int]):
    """Positions of this rank in the batches ``start`` to ``stop`` - 1, of ``size`` crops a rank.

    Batch b of all ranks holds the positions b·size·world and following, and each rank takes ``size`` neighbours of
    them: ranks never overlap, and domains that take turns by position are both in every rank's share.
    """

    def __init__(self, start: int, stop: int, size: int, rank: int = 0, world: int = 1) -> None:
        self.firsts = range((start * world + rank) * size, stop * world * size, world * size)
        self.size = size

    def __iter__(self) -> Iterator[int]:
        return (first + offset for first in self.firsts for offset in range(self.size))

    def __len__(self) -> int:
        return len(self.firsts) * self.size
