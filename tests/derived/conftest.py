"""Facts to vary: 40 images of 256 × 320, 12 of them with masks, on a CPU with two threads."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from semiseg.derived import Facts

NUCLEI = Facts(
    small_side=256, large_side=320, smallest=(256, 256), largest=(256, 320), largest_validation=(256, 320), labelled=12,
    unlabelled=28, validation=3, own_validation=False, classes=3, device="cpu", finest_class="border",
    finest_width=0.03, memory=8 * 2**30, threads=2,
)  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "nuclei": {},
    # 12 megapixels
    "photos": {"small_side": 3000, "large_side": 4000, "smallest": (3000, 4000), "largest": (4000, 3000),
               "largest_validation": (4000, 3000), "finest_width": 0.1},
    "tiny": {"small_side": 64, "large_side": 64, "smallest": (64, 64), "largest": (64, 64),
             "largest_validation": (64, 64)},
    "cuda": {"device": "cuda", "gpu_memory": 80 * 2**30, "threads": 16},
    "small_cuda": {"device": "cuda", "gpu_memory": 6 * 2**30, "threads": 4},
    "mps": {"device": "mps", "threads": 8},
}  # fmt: skip


@pytest.fixture
def facts() -> Callable[..., Facts]:
    """``facts("photos", "cuda", labelled=3)``: the usual facts with those of the kinds named, and further changes."""

    def changed(*kinds: str, **changes: Any) -> Facts:
        merged: dict[str, Any] = {}
        for kind in kinds:
            merged |= KINDS[kind]
        return replace(NUCLEI, **merged | changes)

    return changed
