import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semiseg.data.samplers import PositionSampler, _permutation, position_to_index


@given(count=st.integers(1, 40), seed=st.integers(0, 5), epoch=st.integers(0, 4))
def test_every_epoch_is_a_permutation(count: int, seed: int, epoch: int) -> None:
    seen = [position_to_index(epoch * count + k, count, seed, "labelled") for k in range(count)]
    assert sorted(seen) == list(range(count))


def test_epochs_seeds_and_streams_are_shuffled_apart() -> None:
    def order(start: int, seed: int, stream: str) -> tuple[int, ...]:
        return tuple(position_to_index(start + k, 30, seed, stream) for k in range(30))

    assert len({order(0, 0, "a"), order(30, 0, "a"), order(0, 1, "a"), order(0, 0, "b")}) == 4
    assert order(30, 0, "a") == order(30, 0, "a")  # a resume asks again


@given(start=st.integers(0, 9), length=st.integers(0, 9), size=st.integers(1, 4), world=st.integers(1, 5))
def test_ranks_share_each_batch_without_overlap(start: int, length: int, size: int, world: int) -> None:
    parts = [list(PositionSampler(start, start + length, size, rank, world)) for rank in range(world)]
    for batch in range(length):
        joint = [p for part in parts for p in part[batch * size : (batch + 1) * size]]
        assert joint == list(range((start + batch) * size * world, (start + batch + 1) * size * world))


@given(count=st.integers(1, 30), seed=st.integers(0, 5), start=st.integers(0, 100))
def test_a_new_process_continues_at_any_position(count: int, seed: int, start: int) -> None:
    """Against NumPy's own stream, with nothing remembered: the order must not hang on a cache or a hash seed."""
    _permutation.cache_clear()
    for position in range(start, start + 3):
        words = [seed, zlib.crc32(b"unlabelled"), 0, position // count]
        order = np.random.default_rng(np.random.SeedSequence(words)).permutation(count)
        assert position_to_index(position, count, seed, "unlabelled") == order[position % count]


def test_positions_of_a_rank_and_their_number() -> None:
    sampler = PositionSampler(1, 3, 2, rank=1, world=3)
    assert list(sampler) == [8, 9, 14, 15] and len(sampler) == 4
