"""Before step 0: can the data be used, will the memory do?"""

from __future__ import annotations

import os

import torch

from semiseg.config.read import Config
from semiseg.cost.step import step_memory
from semiseg.data.check.dataset import check_data
from semiseg.data.run_data import RunData
from semiseg.errors import SemisegError

SAVERS = (
    "training.passes=in_turn, training.activation_checkpointing=true, a smaller data.crop, or a smaller "
    "training.batch_size with training.accumulation"
)


def check_run_data(config: Config, data: RunData) -> None:
    """The quick form of ``semiseg data check``.

    Raises:
        SemisegError: the first error found, its mend, and how many more there are.
    """
    crop = config.data.crop
    shape = (crop, crop) if isinstance(crop, int) else crop
    findings = check_data(
        data.train, data.val, data.labelled_names, shape, resize=config.data.resize, quick=True, source=data.source,
        source_resize=config.data.source.resize,
    )  # fmt: skip
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        more = f" ({len(errors) - 1} more; `semiseg data check` lists them)" if len(errors) > 1 else ""
        raise SemisegError(f"{errors[0].where}: {errors[0].message}; {errors[0].mend}{more}")


def memory_remark(config: Config, num_classes: int, device: torch.device, free: int | None = None) -> str | None:
    """One line when a step needs more memory than is free, with what would lower it; None when it fits.

    Args:
        config: the run; its step is counted as ``semiseg cost`` does, which is a lower bound.
        num_classes: C.
        device: where the run trains.
        free: bytes to compare with; by default what the device has free now.
    """
    free = free_memory(device) if free is None else free
    if free is None:
        return None
    try:
        need = sum(step_memory(config, num_classes).values())
    except Exception:  # an optional backbone that cannot be built without data must not keep a run from starting
        return None
    if need <= free:
        return None
    return (
        f"a step needs at least {need / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free on {device}: it will "
        f"probably run out of memory. Try {SAVERS}"
    )


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
