"""What the words know of a run beside its numbers."""

from pathlib import Path
from typing import Any

import pytest
from conftest import tiny

from semiseg.methods.base.stages import count_over
from semiseg.training.advice.circumstances import Circumstances, circumstances
from semiseg.training.loop import Run

KEY = "method.pseudo.confidence_threshold"


@pytest.mark.parametrize(
    ("method", "changes", "waits", "threshold"),
    [
        ("supervised", {}, 0, None),
        ("joint_statistics", {}, 0, None),
        ("memory_bank", {}, 1, None),
        ("memory_bank", {"method__memory_bank__pseudo__warmup": "ramp"}, 0, None),
        ("classmix", {}, 1, KEY),
        ("fixmatch", {}, 1, KEY),
        ("fixmatch", {"method__fixmatch__pseudo__weighting": "confidence"}, 1, None),
        ("cbc", {}, 1, None),
        ("unimatch", {}, 1, KEY),  # whose terms have other names
        ("corrmatch", {}, 1, None),  # its threshold moves by itself
    ],
)
def test_of_every_kind_of_method(
    folder: Path, tmp_path: Path, method: str, changes: dict[str, Any], waits: int, threshold: str | None
) -> None:
    run = Run(tiny(folder, tmp_path / "run", method__name=method, **changes))
    found = circumstances(run.method, run.data, 1)
    waiting = "pseudo-labels" if waits and method != "cbc" else "unlabelled images"
    assert found == Circumstances(4, 4, 1, waits, waiting, threshold)


@pytest.mark.parametrize(
    ("method", "waits"),
    [("fixmatch", 8 + 6), ("joint_statistics", 8), ("memory_bank", 8 + 6), ("supervised", 0),
     ("cbc", 8 + 2), ("dmt", 8 + 2)],  # which have a supervised round of their own, a fifth of the rest
)  # fmt: skip
def test_steps_are_those_of_the_run_in_either_stage(folder: Path, tmp_path: Path, method: str, waits: int) -> None:
    words = {"method__stages": 0.4, "method__warmup": 0.5, "training__iterations": 20}
    run = Run(tiny(folder, tmp_path / "run", method__name=method, **words))
    for steps in (8, 12):  # what a stage counts over
        count_over(run.method, steps)
        found = circumstances(run.method, run.data, 1)
        assert (found.iterations, found.waits_until) == (20, waits)
