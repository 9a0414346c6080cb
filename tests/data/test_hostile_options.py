"""Values of ``data.*`` that Python would take for something else, or never be done with."""

import pytest

from semiseg.config.data import DataConfig
from semiseg.data.run_data import open_split
from semiseg.data.splits.lists import parse_labelled
from semiseg.errors import UsageError


@pytest.mark.parametrize("text", ["1e999999999", "1/1e99", "9" * 5000, "inf", "nan", "1e-999999999", "١"])
def test_no_share_takes_forever(text: str) -> None:
    with pytest.raises(UsageError, match=r"data\.labelled") as caught:
        parse_labelled(text, 10)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(("text", "count"), [("1e-1", 1), ("0.5", 5), ("1/3", 3), ("7", 7), ("1_0", 10), ("all", 10)])
def test_shares_as_before(text: str, count: int) -> None:
    assert parse_labelled(text, 10) == count


@pytest.mark.parametrize("option", ["root", "split"])
def test_options_do_not_take_the_place_of_settings(option: str) -> None:
    with pytest.raises(UsageError, match=r"data\.options has no"):
        open_split(DataConfig(dataset="toy_streets", options={option: "x"}), "train")
