"""The settings of a run on a folder, one after the other: each follows from the facts and from those before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from semiseg.data.base import Resize, Size
from semiseg.derived import loading, schedule, sizes, validation
from semiseg.derived.choice import GIVEN, Choice, Row
from semiseg.derived.facts import Facts

KEYS = (
    "data.resize", "data.crop", "data.cache", "data.workers", "evaluation.mode", "training.batch_size",
    "training.iterations", "training.validate_every", "training.checkpoint_every",
)  # fmt: skip
"""What is derived; every other setting is that of the preset ``folder``."""
FOLD = "data.options.fold"
VALIDATION = "validation images"


def derive(facts: Facts, given: Mapping[str, Any] | None = None) -> list[Row]:
    """A row for each of KEYS and one that says which images validate: what ``semiseg train FOLDER`` prints.

    Args:
        facts: of the folder and the machine.
        given: values, by key, that were chosen by hand. They stand, and what depends on them follows them.
    """
    given = given or {}
    rows: list[Row] = []

    def settle(key: str, choose: Callable[[], Choice]) -> Any:
        value, reason = Choice(given[key], GIVEN) if key in given else choose()
        rows.append(Row(key, value, reason))
        return value

    resize: Resize | None = settle("data.resize", lambda: sizes.resize(facts))
    side = facts.small_side if resize is None else min(resize) if isinstance(resize, tuple) else resize
    crop = settle("data.crop", lambda: sizes.crop(facts, side))
    crop_size: Size = crop if isinstance(crop, tuple) else (crop, crop)
    usual = given.get("data.workers", loading.workers(facts, cached=True).value)
    cached = settle("data.cache", lambda: loading.cache(facts, resize, copies=max(1, usual)))
    settle("data.workers", lambda: loading.workers(facts, cached))
    settle("evaluation.mode", lambda: sizes.evaluation_mode(facts, resize, crop_size))
    settle("training.batch_size", lambda: schedule.batch_size(facts, crop_size))
    steps = settle("training.iterations", lambda: schedule.iterations(facts))
    validates = settle("training.validate_every", lambda: schedule.validate_every(steps))
    settle("training.checkpoint_every", lambda: schedule.checkpoint_every(steps, validates))
    rows.append(Row(VALIDATION, *validation.validation_images(facts, given.get(FOLD))))
    return rows
