"""The device of a run, how much memory it has and how much of it is free."""

from __future__ import annotations

import os

import torch

from semiseg.errors import UsageError
from semiseg.runtime import distributed


def resolve_device(name: str) -> torch.device:
    """``auto`` takes CUDA, then the CPU; any other name is a torch device.

    Raises:
        UsageError: not a device, or one that PyTorch does not find here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"{name!r} is no device; use auto, cpu, cuda or cuda:0") from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise UsageError(f"device {name}: PyTorch finds no CUDA device; use auto or cpu")
        if (device.index or 0) >= (count := torch.cuda.device_count()):
            raise UsageError(f"device {name}: PyTorch finds {count} CUDA devices, from cuda:0 on; use one of them")
    elif device.type != "cpu":
        try:
            torch.zeros(1, device=device).item()  # which meta, a device of shapes alone, cannot do either
        except (RuntimeError, AssertionError, ImportError):
            raise UsageError(f"device {name}: PyTorch cannot compute on one here; use auto or cpu") from None
    return device


def gpu_memory(device: torch.device) -> int | None:
    """Bytes of a CUDA device, of the smallest one among the processes of a run; None elsewhere, or without one here."""
    if device.type != "cuda" or not torch.cuda.is_available():
        return None
    return distributed.smallest(torch.cuda.get_device_properties(device).total_memory)


def main_memory() -> int | None:
    """Bytes of main memory; None where the system does not say."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def free_memory(device: torch.device) -> int | None:
    """Free bytes on a CUDA device, or of main memory; None where that is unknown."""
    if device.type == "cuda":
        # What PyTorch has reserved without using it, after an earlier run in this process, is as good as free.
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + held
    if device.type == "cpu" and "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", {}):
        # The system counts the cache of files as used although it would give it up: take at least half of the memory.
        free, total = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), main_memory() or 0
        return max(free, total // 2)
    return None
