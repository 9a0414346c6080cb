"""The class-wise memory bank against a plain dict of queues, and the filter and quota that feed it."""

from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import Bank, Row
from torch import Tensor

from semiseg.memory_bank import MemoryBank, bank_similarity, feature_quality_filter, shortlist, vectors_per_image

DIM, CLASSES = 3, 3
Keep = Literal["highest", "lowest"]
Push = tuple[list[Row], int, Keep]


def vectors_named(names: list[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """A vector for each name, not of unit length, that no other name has."""
    return torch.tensor([[name, -name, 0.5] for name in names], dtype=dtype).reshape(len(names), DIM)


def push(
    bank: MemoryBank,
    names: list[int],
    rows: list[Row],
    per_image: int,
    keep: Keep = "highest",
    dtype: torch.dtype = torch.float32,
) -> None:
    """Push the features called `names`, which are (label, score, image id) each."""
    labels, scores, images = ([row[k] for row in rows] for k in range(3))
    bank.push(
        vectors_named(names, dtype),
        torch.tensor(labels, dtype=torch.int64),
        torch.tensor(scores, dtype=dtype),
        torch.tensor(images, dtype=torch.int64),
        per_image,
        keep=keep,
    )


def stored(bank: MemoryBank) -> list[tuple[int, int]]:
    """(label, name) of everything stored, after checking that labels, counts and vectors agree."""
    assert bank.labels.dtype == torch.int64 and bank.counts.dtype == torch.int64
    assert bank.vectors.shape == (int(bank.counts.sum()), DIM)
    assert bank.labels.tolist() == [c for c, count in enumerate(bank.counts.tolist()) for _ in range(count)]
    names = [int(value) for value in bank.vectors[:, 0].tolist()]
    assert torch.equal(bank.vectors, vectors_named(names, bank.vectors.dtype)), "vectors are stored as pushed"
    return list(zip(bank.labels.tolist(), names, strict=True))


def test_a_new_bank_is_empty() -> None:
    bank = MemoryBank(CLASSES, DIM, size=4)
    assert isinstance(bank, torch.nn.Module) and not list(bank.parameters())
    assert bank.vectors.shape == (0, DIM) and bank.labels.shape == (0,)
    assert bank.counts.tolist() == [0] * CLASSES
    assert stored(bank) == []


def test_keeps_the_best_of_each_image_and_class_in_order() -> None:
    bank = MemoryBank(CLASSES, DIM, size=8)
    rows = [
        (1, 0.2, 7),  # 10
        (1, 0.9, 7),  # 11
        (1, 0.5, 7),  # 12: second best of image 7
        (1, 0.1, 2),  # 13: alone in image 2, enters first
        (0, 0.3, 7),  # 14
        (255, 1.0, 2),  # 15: ignored
        (3, 1.0, 2),  # 16: no such class
        (-1, 1.0, 2),  # 17: no such class
    ]
    push(bank, list(range(10, 18)), rows, per_image=2)
    assert stored(bank) == [(0, 14), (1, 13), (1, 11), (1, 12)]


def test_ties_go_to_the_earlier_row() -> None:
    bank = MemoryBank(1, DIM, size=8)
    push(bank, [1, 2, 3, 4], [(0, 0.5, 0), (0, 0.7, 0), (0, 0.5, 0), (0, 0.5, 0)], per_image=3)
    assert stored(bank) == [(0, 2), (0, 1), (0, 3)]


def test_first_in_first_out_across_pushes() -> None:
    bank = MemoryBank(1, DIM, size=3)
    for name in (1, 2, 3, 4, 5):
        push(bank, [name], [(0, 1 / name, 0)], per_image=1)
    assert stored(bank) == [(0, 3), (0, 4), (0, 5)]


@pytest.mark.parametrize("already", [0, 2])
def test_one_push_larger_than_the_queue_keeps_what_entered_last(already: int) -> None:
    bank = MemoryBank(1, DIM, size=3)
    push(bank, list(range(90, 90 + already)), [(0, 0.5, 0)] * already, per_image=5)
    push(bank, [1, 2, 3, 4, 5], [(0, score, 0) for score in (0.1, 0.5, 0.3, 0.4, 0.2)], per_image=5)
    assert stored(bank) == [(0, 3), (0, 5), (0, 1)]  # entered as 2, 4, 3, 5, 1


def test_lowest_keeps_the_worst_in_ascending_order() -> None:
    bank = MemoryBank(1, DIM, size=8)
    rows = [(0, 0.9, 0), (0, 0.2, 0), (0, 0.1, 0), (0, 0.2, 0), (0, 0.8, 1)]
    push(bank, [1, 2, 3, 4, 5], rows, per_image=2, keep="lowest")
    assert stored(bank) == [(0, 3), (0, 2), (0, 5)]


def test_default_size_is_256() -> None:
    bank = MemoryBank(1, DIM)
    push(bank, list(range(300)), [(0, 0.5, 0)] * 300, per_image=300)
    assert [name for _, name in stored(bank)] == list(range(44, 300))


# Few values of each, so that ties, overflows and images with several vectors of a class are common.
a_label, a_score, an_image = (st.sampled_from(v) for v in ([-1, 0, 1, 2, 3, 255], [0.0, 0.25, 0.5, 1.0], [0, 3, 41]))
row = st.tuples(a_label, a_score, an_image)
pushes = st.lists(
    st.tuples(st.lists(row, max_size=14), st.integers(1, 4), st.sampled_from(["highest", "lowest"])),
    min_size=1,
    max_size=5,
)


@settings(max_examples=150, deadline=None)
@given(size=st.integers(1, 6), sequence=pushes)
def test_any_sequence_of_pushes_matches_plain_queues(size: int, sequence: list[Push]) -> None:
    bank, model, name = MemoryBank(CLASSES, DIM, size=size), Bank(CLASSES, size), 0
    for rows, per_image, keep in sequence:
        names = list(range(name, name + len(rows)))
        name += len(rows)
        push(bank, names, rows, per_image, keep)
        model.push(names, rows, per_image, keep)
        assert stored(bank) == model.stored()


@settings(max_examples=30, deadline=None)
@given(sequence=pushes, after=pushes)
def test_state_dict_round_trip(sequence: list[Push], after: list[Push]) -> None:
    bank, restored = MemoryBank(CLASSES, DIM, size=3), MemoryBank(CLASSES, DIM, size=3)
    for k, (rows, per_image, keep) in enumerate(sequence):
        push(bank, list(range(100 * k, 100 * k + len(rows))), rows, per_image, keep)
    state = {name: value.clone() for name, value in bank.state_dict().items()}
    push(restored, [999], [(0, 1.0, 0)], per_image=1)  # what it held before must go
    restored.load_state_dict(state)
    assert stored(restored) == stored(bank)
    for k, (rows, per_image, keep) in enumerate(after):
        for either in (bank, restored):
            push(either, list(range(1000 + 100 * k, 1000 + 100 * k + len(rows))), rows, per_image, keep)
        assert stored(restored) == stored(bank)


def test_double_precision_is_accepted() -> None:
    bank = MemoryBank(2, DIM, size=4)
    push(bank, [1, 2, 3], [(0, 0.1, 0), (1, 0.2, 0), (0, 0.3, 0)], per_image=2, dtype=torch.float64)
    assert stored(bank) == [(0, 3), (0, 1), (1, 2)]


def test_what_is_stored_has_no_gradient_and_is_a_copy() -> None:
    bank = MemoryBank(1, DIM, size=4)
    source = vectors_named([1, 2])
    labels, scores, images = torch.tensor([0, 0]), torch.tensor([0.9, 0.1]), torch.tensor([0, 0])
    bank.push(source.clone().requires_grad_() * 1, labels, scores.clone().requires_grad_(), images, per_image=2)
    assert not bank.vectors.requires_grad
    bank.push(source, labels, scores, images, per_image=2)
    source.zero_()
    assert stored(bank) == [(0, 1), (0, 2), (0, 1), (0, 2)]


def test_vectors_taken_before_a_push_do_not_change() -> None:
    # A loss holds them until its backward pass, which may come after the push.
    bank = MemoryBank(1, DIM, size=2)
    push(bank, [1, 2], [(0, 0.5, 0)] * 2, per_image=2)
    taken = bank.vectors
    push(bank, [3, 4], [(0, 0.5, 0)] * 2, per_image=2)
    assert torch.equal(taken, vectors_named([1, 2]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_feature_quality_filter(dtype: torch.dtype) -> None:
    # Columns: right and sure; right, not sure; right, at the threshold; wrong and sure; ignored and sure.
    first = torch.tensor([0.96, 0.60, 0.95, 0.02, 0.99], dtype=dtype)
    probabilities = torch.stack([first, 1 - first]).reshape(1, 2, 1, 5)
    labels = torch.tensor([[[0, 0, 0, 0, 255]]])
    kept = feature_quality_filter(probabilities, labels)
    assert kept.dtype == torch.bool and kept.shape == labels.shape
    assert kept.tolist() == [[[True, False, False, False, False]]]


def test_feature_quality_filter_threshold_is_strict_and_shapes_are_kept() -> None:
    pixels = torch.tensor([[0.75, 0.125, 0.125], [0.125, 0.75, 0.125], [0.0, 0.125, 0.875], [0.25, 0.5, 0.25]])
    probabilities = pixels.reshape(2, 2, 1, 3).permute(0, 3, 1, 2)  # (B, C, h, w) = (2, 3, 2, 1)
    labels = torch.tensor([[[0], [1]], [[2], [1]]])
    at, below = (feature_quality_filter(probabilities, labels, threshold) for threshold in (0.75, 0.7))
    assert at.tolist() == [[[False], [False]], [[True], [False]]]
    assert below.tolist() == [[[True], [True]], [[True], [False]]]


@pytest.mark.parametrize(
    ("size", "labelled", "expected"),
    [(256, 1, 256), (256, 100, 2), (256, 128, 2), (256, 129, 1), (256, 256, 1), (512, 100, 5)],
)
def test_vectors_per_image(size: int, labelled: int, expected: int) -> None:
    assert vectors_per_image(size, labelled) == expected


def test_bank_similarity_is_the_mean_over_pairs_of_vectors() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(9, 4, generator=generator) * 5
    labels = torch.tensor([0, 0, 0, 0, 2, 2, 2, 4, 4])  # classes 1 and 3 are empty
    cosine = torch.nn.functional.cosine_similarity(vectors[:, None].double(), vectors[None].double(), dim=2)

    def mean(a: int, b: int) -> float:
        pairs = [cosine[i, j] for i in range(9) for j in range(9) if i != j and labels[i] == a and labels[j] == b]
        return float(sum(pairs) / len(pairs))

    within, between = bank_similarity(vectors, labels, 5)
    assert within == pytest.approx((mean(0, 0) + mean(2, 2) + mean(4, 4)) / 3)
    assert between == pytest.approx((mean(0, 2) + mean(0, 4) + mean(2, 4)) / 3)


def test_bank_similarity_where_there_are_no_pairs() -> None:
    assert bank_similarity(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), 3) == (None, None)
    assert bank_similarity(torch.ones(1, 4), torch.tensor([2]), 3) == (None, None)
    within, between = bank_similarity(torch.ones(2, 4), torch.tensor([1, 1]), 3)
    assert within == pytest.approx(1) and between is None


def test_a_shortlist_pushes_what_all_rows_would() -> None:
    g = torch.Generator().manual_seed(0)
    for keep in ("highest", "lowest"):
        rows = torch.randn(200, 4, generator=g), torch.randint(-1, 4, (200,), generator=g)
        scores, images = torch.rand(200, generator=g), torch.randint(0, 5, (200,), generator=g)
        whole, short = MemoryBank(3, 4, 7), MemoryBank(3, 4, 7)
        whole.push(*rows, scores, images, 2, keep)
        chosen = shortlist(*rows, scores, images, 2, 3, 5, keep)
        assert len(chosen[0]) == 5 * 3 * 2
        short.push(*chosen, 2, keep)
        assert torch.equal(whole.slots, short.slots) and torch.equal(whole.counts, short.counts)


def test_a_shortlist_is_filled_with_ignored_rows() -> None:
    _, labels, _, _ = shortlist(torch.ones(4, 2), torch.tensor([1, 255, -1, 1]), torch.ones(4), torch.zeros(4), 1, 3, 1)
    assert sorted(labels.tolist()) == [-1, -1, 1]
