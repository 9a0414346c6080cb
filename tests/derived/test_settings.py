from collections.abc import Callable
from typing import Any

import pytest

from semiseg import Config
from semiseg.config import value_of
from semiseg.derived import KEYS, Facts, Row, derive

Make = Callable[..., Facts]


def values(rows: list[Row]) -> dict[str, Any]:
    return {row.setting: row.value for row in rows}


@pytest.mark.parametrize(
    ("kinds", "changes", "expected"),
    [
        (("photos",), {"labelled": 3}, [256, 128, True, 0, "whole", 4, 1000, 100, 100]),
        (("photos",), {"labelled": 300}, [256, 128, True, 0, "whole", 4, 1500, 150, 150]),
        (("photos", "cuda"), {"labelled": 3}, [512, 512, True, 4, "whole", 8, 3100, 310, 310]),
        (("photos", "cuda"), {"labelled": 300}, [512, 512, True, 4, "whole", 8, 9000, 900, 900]),
        (("tiny",), {"labelled": 3}, [None, 64, True, 0, "whole", 4, 1000, 100, 100]),
        (("tiny", "cuda"), {"labelled": 300}, [None, 64, True, 4, "whole", 8, 9000, 900, 900]),
        (("nuclei",), {}, [None, 128, True, 0, "whole", 4, 1100, 110, 110]),
        (("nuclei",), {"unlabelled": 100_000}, [None, 128, False, 2, "whole", 4, 1100, 110, 110]),
    ],
)  # fmt: skip
def test_whole_tables(facts: Make, kinds: tuple[str, ...], changes: dict[str, Any], expected: list[Any]) -> None:
    rows = derive(facts(*kinds, joint=2, **changes))
    assert [row.value for row in rows[:-1]] == expected
    assert [row.setting for row in rows] == [*KEYS, "validation images"]
    assert all(row.reason and row.reason != "given" for row in rows)


@pytest.mark.parametrize("device", ["nuclei", "cuda", "small_cuda", "mps"])
@pytest.mark.parametrize("side", [1, 16, 63, 200, 511, 512, 1000, 8000])
@pytest.mark.parametrize("masks", [1, 3, 300])
def test_every_value_is_one_that_the_configuration_takes(facts: Make, device: str, side: int, masks: int) -> None:
    size = (side, 2 * side)
    made = facts(device, small_side=side, large_side=2 * side, smallest=size, largest=size, largest_validation=size,
                 labelled=masks)  # fmt: skip
    rows = [row for row in derive(made) if row.setting in KEYS]
    config = Config.load("folder", [f"{row.setting}={row.text}" for row in rows])
    assert all(value_of(config, row.setting) == row.value for row in rows)
    assert config.data.crop % 32 == 0 and 32 <= config.data.crop <= max(32, side)


@pytest.mark.parametrize("key", KEYS)
def test_what_is_given_stands_and_is_said(facts: Make, key: str) -> None:
    usual = values(derive(facts("photos")))
    other = {"evaluation.mode": "sliding", "data.cache": False, "data.resize": 300}.get(key, 7)
    rows = derive(facts("photos"), {key: other})
    assert values(rows)[key] == other != usual[key]
    assert [row.setting for row in rows if row.reason == "given"] == [key]


def test_what_follows_from_a_given_value_follows_it(facts: Make) -> None:
    full = values(derive(facts("photos"), {"data.resize": None}))
    assert full["data.crop"] == 160 and full["evaluation.mode"] == "sliding"
    assert values(derive(facts("photos"), {"data.resize": (64, 96)}))["data.crop"] == 64
    assert values(derive(facts("photos", "small_cuda"), {"data.crop": (64, 128)}))["training.batch_size"] == 8
    short = values(derive(facts("nuclei"), {"training.iterations": 50}))
    assert short["training.validate_every"] == 5
    assert values(derive(facts("nuclei"), {"training.validate_every": 7}))["training.checkpoint_every"] == 7
    assert values(derive(facts("nuclei"), {"data.cache": False}))["data.workers"] == 2
    many = facts("photos", "cuda", unlabelled=50)
    assert not values(derive(many, {"data.resize": None}))["data.cache"]
    assert values(derive(many, {"data.resize": None, "data.workers": 0}))["data.cache"] is False
    assert values(derive(facts("photos", "cuda", unlabelled=15), {"data.resize": None, "data.workers": 0}))[
        "data.cache"
    ]


def test_where_the_validation_images_come_from(facts: Make) -> None:
    def reason(given: dict[str, Any] | None = None, **changes: Any) -> str:
        return derive(facts("nuclei", **changes), given)[-1].reason

    assert "one in five on average" in reason() and "fold=0 to 4" in reason()
    assert reason(own_validation=True) == "those of images/val"
    assert reason({"data.options.fold": 2}) == "fold 2 of 5 over the masks"
    assert reason(labelled=2, validation=1) == "drawn from the masks"
