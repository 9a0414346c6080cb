"""``training.*``: crops a step, steps, and what happens every so many of them."""

from __future__ import annotations

from typing import NamedTuple

from semiseg.data.base import Size
from semiseg.derived.choice import Choice
from semiseg.derived.facts import Facts
from semiseg.derived.memory import FEWEST, TOGETHER, gpu_budget, step_bytes

USUAL = {"cpu": FEWEST, "cuda": 8, "mps": FEWEST}
"""Between the paper's batches for Cityscapes (5) and VOC (10, authors' configurations)."""
VALIDATIONS = 10


class _Steps(NamedTuple):
    fewest: int
    each_mask: int
    most: int


STEPS = {"cpu": _Steps(1000, 10, 1500), "mps": _Steps(2000, 10, 4000), "cuda": _Steps(3000, 20, 9000)}
"""1000 steps are what CamVid and nuclei were trained for on a CPU (benchmarks/NOTES.md), half an hour to an hour; 3000
those of the preset ``folder``. What each mask adds is a guess: nothing has been measured on a GPU."""


def batch_size(facts: Facts, crop: Size) -> Choice:
    """Labelled crops a step, of all processes together: so many that TOGETHER crops pass BatchNorm with their views."""
    fewest = max(FEWEST, -(-TOGETHER // facts.joint))
    chosen, reason = max(USUAL[facts.device], fewest), "they fit into the GPU's memory"
    if chosen > fewest and step_bytes(facts.share(chosen) * crop[0] * crop[1]) > gpu_budget(facts):
        chosen, reason = fewest, f"no fewer, for BatchNorm; {chosen} do not fit into the GPU's memory"
    elif chosen == fewest:
        views = f", {facts.joint * chosen} with the unlabelled ones" if facts.joint > 1 else ""
        reason = f"no fewer{views}, for BatchNorm; more take longer"
    if chosen % facts.processes:
        chosen = facts.share(chosen) * facts.processes
        reason += f"; rounded up to a multiple of {facts.processes} processes"
    return Choice(chosen, reason)


def iterations(facts: Facts) -> Choice:
    """Optimiser steps: more of them for more masks, and where they are fast."""
    steps = STEPS[facts.device]
    chosen = min(steps.most, round((steps.fewest + steps.each_mask * facts.labelled) / 100) * 100)
    masks = "one mask" if facts.labelled == 1 else f"each of {facts.labelled} masks"
    how = f"{steps.fewest} and {steps.each_mask} for {masks}, in hundreds"
    where = "a CPU" if facts.on_cpu else facts.device
    return Choice(chosen, f"{how}, at most {steps.most} on {where}")


def validate_every(steps: int) -> Choice:
    """Steps between validations, so that a run has ten, or as many as it has steps."""
    every = -(-steps // VALIDATIONS)
    return Choice(every, f"{_counted(steps, every)} validation{'s' if steps > 1 else ''} a run")


def checkpoint_every(steps: int, validates: int) -> Choice:
    """Steps between checkpoints: as between validations, unless these are so rare that a run would have fewer than ten.

    Args:
        steps: of the run.
        validates: steps between validations.
    """
    every = min(validates, -(-steps // VALIDATIONS))
    return Choice(every, "with every validation" if every == validates else f"{_counted(steps, every)} a run")


def _counted(steps: int, every: int) -> int:
    """How often something happens that happens every so many steps and after the last."""
    return -(-steps // every)
