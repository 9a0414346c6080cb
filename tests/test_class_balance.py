"""The class weights alpha of section 4.2, sqrt(median / frequency)."""

import math

import pytest
import torch
from oracles import class_weights as oracle
from two_processes import of_both

from semiseg.class_balance import ClassCounts, class_weights


def test_hand_computed() -> None:
    weights = class_weights(torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64))
    assert weights.tolist() == pytest.approx([math.sqrt(0.5), 1, math.sqrt(3)], rel=1e-6)


def test_absent_classes_weigh_one_and_stay_out_of_the_median() -> None:
    weights = class_weights(torch.tensor([0.0, 0.6, 0.3, 0.0, 0.1, 0.0], dtype=torch.float64))
    assert weights.tolist() == pytest.approx([1, math.sqrt(0.5), 1, 1, math.sqrt(3), 1], rel=1e-6)


def test_an_even_number_of_classes_takes_the_mean_of_the_middle_two() -> None:
    # The median of 0.1, 0.2, 0.3, 0.4 is 0.25.
    weights = class_weights(torch.tensor([0.4, 0.1, 0.3, 0.2], dtype=torch.float64))
    assert weights.tolist() == pytest.approx([math.sqrt(0.25 / f) for f in (0.4, 0.1, 0.3, 0.2)], rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("classes", [1, 2, 11, 19])
def test_against_the_formula(classes: int, dtype: torch.dtype) -> None:
    frequencies = torch.rand(classes, generator=torch.Generator().manual_seed(classes), dtype=dtype)
    frequencies[::4] *= frequencies[::4] > 0.5  # some absent
    weights = class_weights(frequencies)
    assert weights.dtype == dtype and weights.shape == (classes,)
    assert weights.tolist() == pytest.approx(oracle(frequencies.tolist()), rel=1e-6)


def test_only_proportions_matter() -> None:
    frequencies = torch.tensor([0.5, 0.25, 0.2, 0.05], dtype=torch.float64)
    weights = class_weights(frequencies).tolist()
    assert class_weights(1e6 * frequencies).tolist() == pytest.approx(weights, rel=1e-6)


def test_nothing_seen_weighs_one() -> None:
    assert class_weights(torch.zeros(4)).tolist() == [1, 1, 1, 1]
    assert ClassCounts(4).weights().tolist() == [1, 1, 1, 1]


def test_counts_accumulate_over_updates_without_ignored_pixels() -> None:
    counts = ClassCounts(4)
    counts.update(torch.tensor([[[0, 0, 0], [1, 255, 255]], [[0, 1, 2], [255, 255, 255]]]))  # 4, 2, 1, 0
    assert counts.weights().tolist() == pytest.approx([math.sqrt(2 / 4), 1, math.sqrt(2), 1], rel=1e-6)
    counts.update(torch.tensor([[[3, 3, 3, 3, 2, 2, 2, 255]]]))  # 4, 2, 4, 4
    assert counts.weights().tolist() == pytest.approx([1, math.sqrt(2), 1, 1], rel=1e-6)
    assert counts.weights().is_floating_point()


def test_a_batch_of_ignored_pixels_changes_nothing() -> None:
    counts = ClassCounts(3)
    counts.update(torch.tensor([[[0, 1, 1]]]))
    before = counts.weights()
    counts.update(torch.full((1, 2, 2), 255))
    assert torch.equal(counts.weights(), before)


def test_state_dict_round_trip() -> None:
    counts, restored = ClassCounts(3), ClassCounts(3)
    counts.update(torch.tensor([[[0, 1, 1, 2, 2, 2, 2]]]))
    restored.load_state_dict(counts.state_dict())
    for either in (counts, restored):
        either.update(torch.tensor([[[0, 0, 255]]]))  # 3, 2, 4
    assert restored.weights().tolist() == pytest.approx(oracle([3, 2, 4]), rel=1e-6)
    assert torch.equal(restored.weights(), counts.weights())


def test_counters_cannot_saturate() -> None:
    # float32 stops counting at 2**24 pixels: 64 crops of 512 x 512.
    assert {buffer.dtype for buffer in ClassCounts(3).buffers()} <= {torch.int64, torch.float64}
    assert list(ClassCounts(3).buffers())


def test_a_class_of_a_few_pixels_weighs_ten_at_most() -> None:
    counts = torch.tensor([9_000_000, 1_000_000, 4], dtype=torch.float64)
    assert class_weights(counts).tolist() == pytest.approx([1 / 3, 1, 10])
    assert class_weights(counts, most=float("inf"))[2].item() == pytest.approx(500)


def test_counts_and_weights_are_those_of_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(labels: list[int]) -> list[float]:
        counts = ClassCounts(3)
        counts.update(torch.tensor(labels))
        return counts.counts.tolist()

    assert of_both(monkeypatch, lambda: counted([0, 0, 1]), lambda: counted([1, 2, 255])) == [[2, 2, 1]] * 2


def test_labels_below_and_beyond_the_classes_are_left_out() -> None:
    counts = ClassCounts(3)
    counts.update(torch.tensor([-1, 0, 2, 3, 4]))
    assert counts.counts.tolist() == [1, 0, 1] and counts.weights().dtype == torch.get_default_dtype()
