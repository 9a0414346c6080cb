"""Which device a run is on, and how much memory is free there."""

from __future__ import annotations

import os

import torch

from semiseg.errors import UsageError


def resolve_device(name: str) -> torch.device:
    """``auto`` takes CUDA, then the CPU; any other name is a torch device.

    Raises:
        UsageError: not a device, or CUDA where PyTorch finds none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"training.device {name!r} is no device; use auto, cpu, cuda or cuda:0") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("training.device=cuda, but PyTorch finds no CUDA device; use training.device=cpu")
    return device


def free_memory(device: torch.device) -> int | None:
    """Free bytes on a CUDA device, or of main memory; None where that cannot be told."""
    if device.type == "cuda":
        # What this process holds without using it, from a run before, is as good as free.
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + held
    if device.type == "cpu" and "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", {}):
        # Pages that only cache files count as used there; a run rarely needs more than half of the machine.
        free, total = (os.sysconf(name) * os.sysconf("SC_PAGE_SIZE") for name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"))
        return max(free, total // 2)
    return None
