import unicodedata

import pytest

from semiseg.data.splits.hashed_folds import validation_part
from semiseg.data.splits.shuffled_folds import FOLDS
from semiseg.errors import UsageError

KINDS = ("photo", "IMG_", "case", "x", "site1-", "2024-06-")


def names(kind: str, count: int) -> list[str]:
    return [f"{kind}{i:02d}" for i in range(count)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fold", [None, 1])
def test_an_image_that_was_trained_on_does_not_come_to_validate_when_a_mask_is_added(
    kind: str, fold: int | None
) -> None:
    own, before = validation_part(names(kind, 41), fold), names(kind, 4 if fold is None else 5)
    for name in names(kind, 41)[len(before) :]:
        after = [*before, name]
        if 2 * len(own.intersection(before)) <= len(before):  # else the one exception, told in the docstring
            moved = (set(before) - validation_part(before, fold)) & validation_part(after, fold)
            assert not moved, before
        before = after


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 10, 15, 20, 40])
@pytest.mark.parametrize("kind", KINDS)
def test_some_images_validate_and_at_most_half(kind: str, count: int) -> None:
    for fold in [None, *(range(FOLDS) if count >= FOLDS else ())]:
        most = count // 2 if fold is None else count - 1
        assert 1 <= len(validation_part(names(kind, count), fold)) <= max(1, most)


def test_of_many_images_each_validates_in_one_fold_of_about_a_fifth() -> None:
    many = names("photo", 1000)
    parts = [validation_part(many, fold) for fold in range(FOLDS)]
    assert sum(map(len, parts)) == len(many) and set().union(*parts) == set(many)
    assert all(150 < len(part) < 250 for part in parts)
    assert validation_part(many[::-1]) == parts[-1]


def test_every_image_validates_in_one_of_five_runs_of_few() -> None:
    few = names("photo", 9)
    assert set().union(*(validation_part(few, fold) for fold in range(FOLDS))) == set(few)


def test_the_part_is_the_same_on_every_machine_and_in_every_spelling() -> None:
    assert validation_part(names("photo", 9)) == {"photo05", "photo07"}
    accents = [f"käfer{i}" for i in range(30)]
    apart = [unicodedata.normalize("NFD", name).upper() for name in accents]
    chosen = validation_part(accents)
    assert validation_part(apart) == {unicodedata.normalize("NFD", name).upper() for name in chosen}


def test_folds_need_five_images() -> None:
    with pytest.raises(UsageError, match="needs 5 images with masks, and there are 4"):
        validation_part(names("photo", 4), 0)
