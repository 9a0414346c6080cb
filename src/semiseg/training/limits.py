"""What no machine of this size can do: told before a crop is loaded, instead of a machine that stands still."""

from __future__ import annotations

import os

import torch

from semiseg.config.read import Config
from semiseg.errors import UsageError
from semiseg.runtime.device import main_memory
from semiseg.runtime.plugins import method_class

PER_CORE, ANYWHERE = 8, 32
"""Loader processes: so many a core, and so many on any machine."""


def check_limits(config: Config, memory: int | None = None, cores: int | None = None) -> None:
    """Refuse loader processes and batches that this machine cannot hold.

    Args:
        config: the run.
        memory: bytes to compare with; by default the main memory.
        cores: of the processor; by default those of this machine.

    Raises:
        UsageError: names the key, what it would take and what there is.
    """
    cores = cores or os.cpu_count() or 1
    most = max(ANYWHERE, PER_CORE * cores)
    if config.data.workers > most:
        raise UsageError(f"data.workers={config.data.workers}: this machine has {cores} cores; choose at most {most}")
    memory = memory or main_memory()
    if memory is None:
        return
    t, (height, width) = config.training, config.data.crop_size
    unlabelled = (
        max(1, round(t.batch_size * t.unlabelled_ratio)) if method_class(config.method.name).needs.unlabelled else 0
    )
    need = (t.batch_size + unlabelled) * height * width * 3 * 4
    if need > memory:
        raise UsageError(
            f"{t.batch_size} labelled and {unlabelled} unlabelled crops of {height}x{width} pixels take "
            f"{need / 1e9:.0f} GB a step, before the network; this machine has {memory / 1e9:.0f} GB: lower "
            "training.batch_size (training.accumulation adds batches up), training.unlabelled_ratio or data.crop"
        )
    for key, resize in (("data.resize", config.data.resize), ("data.source.resize", config.data.source.resize)):
        if isinstance(resize, tuple) and resize[0] * resize[1] * 3 * 4 > memory:
            raise UsageError(f"{key}={list(resize)}: one such image takes more than this machine's memory; lower it")


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse half precision of 5 exponent bits on a CPU: its operations are few there, and its range gains nothing.

    Raises:
        UsageError: fp16 would reach a CPU.
    """
    if precision == "fp16" and device.type == "cpu":
        raise UsageError(
            "training.precision=fp16 is for GPUs, and training.device came out as cpu; use fp32 or bf16 there"
        )
