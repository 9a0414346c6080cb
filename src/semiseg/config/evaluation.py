"""``evaluation.*``: how whole images pass the network."""

from __future__ import annotations

from typing import Literal

from semiseg.config.section import Count, Section, Side


class EvaluationConfig(Section):
    mode: Literal["whole", "sliding"] = "whole"
    """Whole image, single scale (section 4.2), or a sliding window."""
    window: tuple[Side, Side] | None = None
    """(height, width) of the window in pixels; None: the training crop."""
    stride: tuple[Side, Side] | None = None
    """Steps of the window in pixels; None: two thirds of it."""
    batch_size: Count = 1
    """Images a pass; above 1 all must have one size."""
