from collections.abc import Callable
from typing import Any

import pytest

from semiseg import Config
from semiseg.cost.step import cost
from semiseg.derived import Facts
from semiseg.derived.memory import step_bytes
from semiseg.derived.schedule import batch_size, checkpoint_every, iterations, validate_every

Make = Callable[..., Facts]


@pytest.mark.parametrize(
    ("kinds", "changes", "crop", "value", "reason"),
    [
        (("nuclei",), {}, (128, 128), 8, "no fewer, for BatchNorm"),  # supervised
        (("nuclei",), {"joint": 2}, (128, 128), 4, "no fewer, 8 with the unlabelled ones, for BatchNorm"),
        (("nuclei",), {"joint": 3}, (128, 128), 4, "no fewer, 12 with the unlabelled ones, for BatchNorm"),
        (("photos", "mps"), {"joint": 3}, (256, 256), 4, "no fewer, 12"),
        (("photos", "cuda"), {"joint": 3}, (512, 512), 8, "they fit into the GPU's memory"),
        (("photos", "small_cuda"), {}, (320, 320), 8, "no fewer, for BatchNorm"),
        (("photos", "small_cuda"), {"joint": 3}, (320, 320), 4, "8 do not fit"),
        (("photos", "small_cuda"), {"joint": 3, "processes": 4}, (320, 320), 8, "they fit"),
        (("photos", "cuda"), {"processes": 3}, (512, 512), 9, "a multiple of 3 processes"),
        (("photos", "cuda"), {"processes": 16}, (512, 512), 16, "a multiple of 16 processes"),
        (("nuclei",), {"processes": 3, "joint": 2}, (128, 128), 6, "a multiple of 3 processes"),
        (("photos", "cuda"), {"joint": 3, "gpu_memory": None}, (512, 512), 4, "8 do not fit"),
    ],
)  # fmt: skip
def test_batches_suit_batch_norm_memory_and_processes(
    facts: Make, kinds: tuple[str, ...], changes: dict[str, Any], crop: tuple[int, int], value: int, reason: str
) -> None:
    found = batch_size(facts(*kinds, **changes), crop)
    assert found.value == value and reason in found.reason


@pytest.mark.parametrize(
    ("device", "masks", "value"),
    [("nuclei", 3, 1000), ("nuclei", 12, 1100), ("nuclei", 300, 1500), ("mps", 3, 2000), ("mps", 300, 4000),
     ("cuda", 3, 3100), ("cuda", 40, 3800), ("cuda", 300, 9000)],
)  # fmt: skip
def test_steps_grow_with_masks_and_speed(facts: Make, device: str, masks: int, value: int) -> None:
    found = iterations(facts(device, labelled=masks))
    assert found.value == value and f"for each of {masks} masks, in hundreds" in found.reason


@pytest.mark.parametrize(
    ("steps", "every", "count"),
    [(1, 1, "1 validation"), (3, 1, "3 validations"), (10, 1, "10 validations"), (11, 2, "6 validations"),
     (1000, 100, "10 validations"), (1005, 101, "10 validations")],
)  # fmt: skip
def test_a_run_has_at_most_ten_validations(steps: int, every: int, count: str) -> None:
    assert validate_every(steps) == (every, f"{count} a run")
    assert checkpoint_every(steps, every) == (every, "with every validation")


@pytest.mark.parametrize(("validates", "expected"), [(7, (7, "with every validation")), (5000, (100, "10 a run"))])
def test_checkpoints_follow_the_validations_that_were_given(validates: int, expected: tuple[int, str]) -> None:
    assert checkpoint_every(1000, validates) == expected


def test_the_count_of_memory_is_that_of_the_method_that_needs_most() -> None:
    config = Config.load("folder", ["method.name=memory_bank", "data.crop=256", "training.batch_size=8"])
    counted = cost(config, 5).memory_total
    assert counted < step_bytes(8 * 256**2) < 1.2 * counted
