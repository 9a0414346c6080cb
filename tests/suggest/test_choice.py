"""Choosing among ranked images: mean ranks, groups, scenes."""

import numpy as np
import pytest

from semiseg.errors import UsageError
from semiseg.suggest.choice import choose, cover, mean_ranks, reach, scenes_by_name

NONE = np.zeros((0, 2), np.float32)


def on_a_circle(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_scores_are_mean_ranks() -> None:
    assert mean_ranks([[0.1, 0.3, 0.2]]).tolist() == pytest.approx([1 / 3, 1, 2 / 3])
    both = mean_ranks([[0.1, 0.3, 0.2], [0.5, 0.4, 0.4]])
    assert both.tolist() == pytest.approx([(1 + 3) / 6, (3 + 1.5) / 6, (2 + 1.5) / 6])


def test_of_every_group_of_the_high_ranks_one() -> None:
    # Three heaps: the two highest scores lie in the first, and low ones nowhere near are no candidates.
    points = on_a_circle(0, 1, 2, 90, 91, 180, 182, 270, 271, 272, 273, 274)
    scores = np.array([1, 0.99, 0.98, 0.9, 0.89, 0.8, 0.79, 0.1, 0.1, 0.1, 0.1, 0.1])
    found = choose(scores, points, 3, NONE)
    assert [i in heap for i, heap in zip(found, ({0, 1, 2}, {3, 4}, {5, 6}), strict=True)] == [True] * 3
    assert 1 in found  # nearest to the centre of its heap


def test_frames_of_a_labelled_scene_are_passed_over_while_there_are_others() -> None:
    points = on_a_circle(0, 0.5, 40, 80, 120, 160, 200, 240)
    scores = np.array([1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3])
    labelled = on_a_circle(0.2)
    assert not {0, 1} & set(choose(scores, points, 4, labelled))
    assert sorted(choose(scores, points, 8, labelled)) == list(range(8))  # at last all are wanted


def test_named_scenes_come_once_even_where_that_leaves_fewer() -> None:
    points, scores = on_a_circle(*range(0, 360, 45)), np.linspace(1, 0.3, 8)
    scenes = ["a", "a", "a", "b", "b", "b", "c", "c"]
    for found in (choose(scores, points, 5, NONE, scenes), cover(points, 5, NONE, scenes)[0]):
        assert sorted(scenes[i] for i in found) == ["a", "b", "c"]


def test_coverage_takes_what_is_typical_of_the_largest_groups_without_a_mask() -> None:
    points = on_a_circle(0, 2, 4, 6, 8, 120, 122, 124, 240, 241)
    found, shares = cover(points, 2, on_a_circle(122.5))
    assert found[0] == 2 and found[1] in (8, 9)
    assert shares[:5] == pytest.approx(5 / 11) and shares[8] == pytest.approx(2 / 11)
    assert sorted(cover(points, 99, NONE)[0]) == list(range(10))


def test_reach_is_the_distance_to_the_nearest_but_so_many() -> None:
    line = np.array([[0.0, 0], [1, 0], [2, 0], [3, 0]])
    assert reach(line, 4) == 1 and reach(line, 2) == pytest.approx(1.5)  # second neighbours: 2, 1, 1, 2
    assert reach(line[:1], 1) == 0


def test_scenes_by_name() -> None:
    names = ["drive1_0001", "drive1_0030", "other"]
    assert scenes_by_name(names, r"^(.+)_\d+$") == ["drive1", "drive1", "other"]
    assert scenes_by_name(names, "^drive.") == ["drive1", "drive1", "other"]
    with pytest.raises(UsageError, match=r"no regular expression"):
        scenes_by_name(names, "(")
