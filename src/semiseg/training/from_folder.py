"""A run that starts from a folder: its settings are derived once its data has been opened and checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from semiseg import derived
from semiseg.data.run_data import RunData

Settle = Callable[[RunData, torch.device], derived.Settled]
"""From data that can be trained on and a device to the complete configuration."""


def settling(source: str | Path, words: list[str] | tuple[str, ...]) -> Settle:
    """What settles the rest of a new run on a folder."""

    def settle(data: RunData, device: torch.device) -> derived.Settled:
        return derived.settle(source, words, data, device)

    return settle
