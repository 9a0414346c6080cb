from collections.abc import Callable
from typing import Any

import pytest

from semiseg.derived import Facts
from semiseg.derived.sizes import crop, evaluation_mode, resize

Make = Callable[..., Facts]


@pytest.mark.parametrize(
    ("kinds", "changes", "value", "reason"),
    [
        (("nuclei",), {}, None, "256 pixels, is small enough"),
        (("tiny",), {}, None, "64 pixels, is small enough"),
        (("tiny", "cuda"), {}, None, "small enough"),
        (("photos",), {}, 256, "from 3000 pixels"),
        (("photos", "mps"), {}, 256, "from 3000 pixels"),
        (("photos", "cuda"), {}, 512, "from 3000 pixels"),
        (("nuclei",), {"small_side": 384}, None, "small enough"),
        (("nuclei",), {"small_side": 385}, 256, "from 385 pixels"),
        (("photos",), {"finest_width": 0.0125}, 320, "border becomes 4 wide"),
        (("photos",), {"finest_width": 0.002}, 512, "border becomes 1.0 pixels wide, which is hardly enough"),
        (("photos", "cuda"), {"finest_width": 0.002}, 1024, "border becomes 2.0 pixels wide"),
        (("nuclei",), {"small_side": 500, "finest_width": 0.01}, None, "kept at 500 pixels: border is 5 wide"),
        (("photos",), {"finest_class": None, "finest_width": 1.0}, 256, "from 3000 pixels"),
    ],
)  # fmt: skip
def test_only_large_images_are_resized_and_fine_things_are_kept(
    facts: Make, kinds: tuple[str, ...], changes: dict[str, Any], value: int | None, reason: str
) -> None:
    found = resize(facts(*kinds, **changes))
    assert found.value == value and reason in found.reason


@pytest.mark.parametrize(
    ("kinds", "changes", "side", "value", "reason"),
    [
        (("nuclei",), {}, 256, 128, "about half of the small side, 256"),
        (("tiny",), {}, 64, 64, "all of the small side"),
        (("nuclei",), {}, 20, 32, "all of the small side, 20, padded to 32"),
        (("nuclei",), {}, 33, 32, "the small side, 33, in multiples of 32"),
        (("nuclei",), {}, 95, 64, "the small side, 95, in multiples of 32"),
        (("nuclei",), {}, 128, 64, "about half of the small side, 128; larger"),
        (("nuclei",), {}, 96, 64, "67 % of the small side, 96; larger"),
        (("nuclei", "cuda"), {}, 16, 32, "all of the small side, 16, padded to 32"),
        (("nuclei",), {}, 50, 32, "the small side, 50, in multiples of 32"),
        (("nuclei",), {}, 80, 64, "the small side, 80, in multiples of 32"),
        (("nuclei",), {}, 100, 64, "about half"),
        (("photos",), {}, 3000, 160, "5 % of the small side"),
        (("photos", "cuda"), {}, 512, 512, "all of the small side, 512"),
        (("photos", "cuda"), {}, 3000, 512, "of a small side of 3000"),
        (("nuclei", "cuda"), {}, 256, 256, "all of the small side, 256"),
        (("nuclei", "cuda"), {}, 333, 320, "the small side, 333"),
        (("tiny", "cuda"), {}, 64, 64, "the small side"),
        (("photos", "small_cuda"), {}, 512, 320, "the largest of which 4 fit"),
        (("photos", "small_cuda"), {"processes": 4}, 512, 512, "all of the small side"),
        (("photos", "cuda"), {"gpu_memory": 2**28}, 512, 64, "the largest of which 4 fit"),
        (("photos", "mps"), {}, 256, 256, "all of the small side, 256"),
    ],
)  # fmt: skip
def test_crops_fit_the_images_and_the_memory(
    facts: Make, kinds: tuple[str, ...], changes: dict[str, Any], side: int, value: int, reason: str
) -> None:
    found = crop(facts(*kinds, **changes), side)
    assert found.value == value and reason in found.reason


@pytest.mark.parametrize(
    ("kinds", "resize_to", "crop_size", "value", "reason"),
    [
        (("nuclei",), None, (128, 128), "whole", "at most 5 times"),
        (("tiny",), None, (64, 64), "whole", "at most 1 times"),
        (("photos",), 256, (128, 128), "whole", "at most 6 times"),
        (("photos",), None, (160, 160), "sliding", "up to 469 times"),
        (("photos", "cuda"), None, (512, 512), "sliding", "up to 46 times"),
        (("photos",), (512, 512), (128, 128), "whole", "at most 16 times"),
        (("photos",), (512, 516), (128, 128), "sliding", "up to 17 times"),
        (("nuclei",), None, (32, 64), "sliding", "up to 40 times"),
    ],
)
def test_windows_are_for_images_much_larger_than_the_crop(
    facts: Make, kinds: tuple[str, ...], resize_to: Any, crop_size: tuple[int, int], value: str, reason: str
) -> None:
    found = evaluation_mode(facts(*kinds), resize_to, crop_size)
    assert found.value == value and reason in found.reason
