"""Where X_l and X_d stand in the sequence of labelled crops (section 4.3.2)."""

from collections import Counter

import pytest
import torch

from semiseg.data.datasets.toy_streets import ToyStreets
from semiseg.data.domains import Sampling, TwoDomains, domain_position
from semiseg.data.loading import CropDataset, batches


def sequence(sampling: Sampling, batch_size: int, count: int) -> list[list[tuple[bool, int]]]:
    positions = [domain_position(p, sampling, batch_size, count) for p in range(batch_size * count)]
    return [positions[b * batch_size : (b + 1) * batch_size] for b in range(count)]


def crops_of_both() -> list[CropDataset]:
    """Target, then source."""
    streams = (("camera", "labelled"), ("game", "source"))
    return [CropDataset(ToyStreets(6, (32, 48), look), range(6), (32, 32), 0, stream) for look, stream in streams]


def test_even_halves_every_batch_and_every_two_of_odd_size() -> None:
    for four in sequence("even", 4, 6):
        assert sum(target for target, _ in four) == 2
    assert [sum(target for target, _ in five) for five in sequence("even", 5, 4)] == [3, 2, 3, 2]


def test_alternating_takes_whole_batches_in_turn() -> None:
    assert [{target for target, _ in batch} for batch in sequence("alternating", 3, 4)] == [{True}, {False}] * 2


def test_late_takes_the_source_in_every_second_of_the_last_hundred() -> None:
    source = [b for b, batch in enumerate(sequence("late", 2, 130)) if not batch[0][0]]
    assert source == list(range(31, 130, 2))
    assert sum(not batch[0][0] for batch in sequence("late", 2, 10)) == 5  # a run shorter than that


@pytest.mark.parametrize("sampling", ["even", "alternating", "late"])
@pytest.mark.parametrize("batch_size", [1, 4, 5])
def test_each_domain_is_walked_without_gaps(sampling: Sampling, batch_size: int) -> None:
    walked = [entry for batch in sequence(sampling, batch_size, 120) for entry in batch]
    for domain in (True, False):
        positions = [position for target, position in walked if target is domain]
        assert positions == list(range(len(positions)))


def test_items_say_which_domain_they_are_of() -> None:
    crops = crops_of_both()
    both = TwoDomains(*crops, "even", batch_size=4, batches=3)
    first = next(iter(batches(both, 4, 0, 3)))
    assert first["target"].tolist() == [True, False, True, False]
    assert torch.equal(first["image"][0], crops[0][0]["image"])
    assert torch.equal(first["image"][3], crops[1][1]["image"])
    three = list(batches(both, 4, 0, 3))
    items = [item for b in three for item in zip(b["index"].tolist(), b["target"].tolist(), strict=True)]
    seen = Counter(index for index, is_target in items if is_target)
    assert seen == dict.fromkeys(range(6), 1)  # an epoch of the target in three batches


@pytest.mark.parametrize("world", [2, 4])
def test_every_process_gets_both_domains(world: int) -> None:
    """ClassMix and BatchNorm of a process must see what they see where there is one process."""
    crops = crops_of_both()
    both = TwoDomains(*crops, "even", batch_size=8, batches=2)
    for rank in range(world):
        for batch in batches(both, 8 // world, 0, 2, rank=rank, world=world):
            assert batch["target"].tolist() == [True, False] * (4 // world)
