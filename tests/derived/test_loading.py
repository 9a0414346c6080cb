from collections.abc import Callable
from typing import Any

import pytest

from semiseg.derived import Facts
from semiseg.derived.loading import cache, workers

Make = Callable[..., Facts]


@pytest.mark.parametrize(
    ("kinds", "changes", "resize", "copies", "value", "reason"),
    [
        (("nuclei",), {}, None, 1, True, "40 decoded images take 12 MiB"),
        (("tiny",), {}, None, 1, True, "40 decoded images take 1 MiB"),
        (("photos",), {}, 256, 1, True, "40 decoded images take 13 MiB"),
        (("photos",), {}, None, 1, True, "take 1.8 GiB"),
        (("photos",), {}, (256, 256), 1, True, "take 10 MiB"),
        (("photos",), {"unlabelled": 300}, None, 1, False, "312 decoded images would take 13.9 GiB"),
        (("photos",), {"memory": 2**30}, None, 1, False, "would take 1.8 GiB"),
        (("photos",), {"memory": None}, None, 1, False, "would take 1.8 GiB"),
        (("photos", "cuda"), {}, None, 4, False, "in 4 processes would take 7.2 GiB"),
        (("tiny",), {"mean_pixels": 1_000_000}, None, 1, True, "40 decoded images take 153 MiB"),  # one is huge
        (("tiny",), {"mean_pixels": 1_000_000}, 32, 1, True, "40 decoded images take 1 MiB"),
        (("nuclei", "cuda"), {"processes": 2}, None, 4, True, "in 8 processes take 100 MiB"),
    ],
)  # fmt: skip
def test_small_sets_are_kept_in_memory(
    facts: Make, kinds: tuple[str, ...], changes: dict[str, Any], resize: Any, copies: int, value: bool, reason: str
) -> None:
    found = cache(facts(*kinds, **changes), resize, copies)
    assert found.value is value and reason in found.reason


@pytest.mark.parametrize(
    ("kinds", "changes", "cached", "value"),
    [(("nuclei",), {}, True, 0), (("nuclei",), {}, False, 2), (("nuclei",), {"threads": 1}, False, 1),
     (("mps",), {}, True, 0), (("mps",), {}, False, 2), (("cuda",), {}, True, 4), (("cuda",), {}, False, 4),
     (("small_cuda",), {}, True, 3), (("cuda",), {"threads": 1}, False, 1), (("cuda",), {"processes": 8}, False, 1)],
)  # fmt: skip
def test_workers_where_decoding_would_be_waited_for(
    facts: Make, kinds: tuple[str, ...], changes: dict[str, Any], cached: bool, value: int
) -> None:
    assert workers(facts(*kinds, **changes), cached).value == value
