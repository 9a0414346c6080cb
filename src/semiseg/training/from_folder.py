"""A run that starts from a folder: its settings are derived once its data has been opened and checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from semiseg import derived
from semiseg.config.read import Config
from semiseg.data.run_data import RunData
from semiseg.runtime import distributed
from semiseg.training.warm_start import structure_words

Settle = Callable[[RunData, torch.device], derived.Settled]
"""From data that can be trained on and a device to the complete configuration."""


def configured(
    source: str | Path, words: list[str] | tuple[str, ...], resume: bool, shown: bool
) -> tuple[Config, Settle | None]:
    """The configuration of ``source`` and, for a new run on a folder, what settles the rest of it.

    With ``shown`` the derived settings are printed. Where the run begins with the weights of another, the structure of
    its network is that of the other, unless ``words`` say otherwise.

    Raises:
        UsageError: as :meth:`Config.load`.
        SemisegError: the other run has no checkpoint.
    """
    config = Config.load(source, words)
    if config.network.warm_start is not None:
        words = [*structure_words(config.network.warm_start), *words]
        config = Config.load(source, words)
    if not derived.derives(source, config):
        return config, None
    if resume and (stored := derived.resumed(source, words)) is not None:
        return stored, None

    def settle(data: RunData, device: torch.device) -> derived.Settled:
        settled = derived.settle(source, words, data, device)
        if shown and distributed.is_main():
            derived.show(settled.facts, settled.rows)
        return settled

    return config, settle
