"""How much memory a step of the preset ``folder`` takes on a GPU, and how much it may take."""

from __future__ import annotations

from semiseg.derived.facts import Facts

FEWEST = 4
"""Labelled crops of a step; what the presets for CPUs have."""
TOGETHER = 8
"""Crops that pass BatchNorm together: on cell nuclei `supervised` ended 2 to 13 points lower with four than with eight
on all four splits, and no higher with twelve (benchmarks/results/gain.json, tuning.json). A method that passes one view
of as many unlabelled images along has them with four labelled ones."""
PER_PIXEL = 17 * 2**9
"""Bytes for each pixel of a labelled crop, its unlabelled views included: `semiseg cost folder
method.name=memory_bank data.crop=512` counts 7.9 KiB with 3 classes, 8.2 with 11, other methods less. The method makes
no difference here, so that methods are compared on equal settings."""
SHARE = 0.6
"""Of a GPU's memory: the count is a lower bound (docs/cost.md)."""
UNKNOWN = 8 * 2**30  # bytes of a GPU whose memory is not known


def step_bytes(pixels: int) -> int:
    """Bytes of a step on labelled crops of so many pixels together."""
    return PER_PIXEL * pixels


def gpu_budget(facts: Facts) -> int:
    """Bytes that a step may take on one GPU."""
    return int(SHARE * (facts.gpu_memory or UNKNOWN))
