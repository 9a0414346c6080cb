import pytest

from semiseg.data.splits.shuffled_folds import FOLDS, permuted_part


@pytest.mark.parametrize("count", [5, 7, 12, 40])
def test_folds_share_out_the_names_evenly_and_the_last_is_the_default(count: int) -> None:
    names = [f"image{i:02d}" for i in range(count)]
    parts = [permuted_part(names, fold) for fold in range(FOLDS)]
    assert sum(map(len, parts)) == count and set().union(*parts) == set(names)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert permuted_part(names[::-1]) == parts[-1]


def test_the_part_is_that_of_runs_begun_with_it() -> None:
    assert permuted_part([f"photo{i:02d}" for i in range(9)]) == {"photo03", "photo05"}


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_one_image_validates_of_very_few(count: int) -> None:
    assert len(permuted_part([str(i) for i in range(count)])) == 1
