"""Before step 0: can the data be used, will the memory do?"""

from __future__ import annotations

import torch

from semiseg.config.read import Config
from semiseg.cost.step import step_memory
from semiseg.data.check.dataset import check_data
from semiseg.data.run_data import RunData
from semiseg.errors import SemisegError
from semiseg.methods.base.stages import first_stage
from semiseg.runtime.device import free_memory
from semiseg.runtime.plugins import method_class

SAVERS = (
    "training.passes=in_turn, training.activation_checkpointing=true, a smaller data.crop, or a smaller "
    "training.batch_size with training.accumulation"
)


def check_run_data(config: Config, data: RunData) -> None:
    """The quick form of ``semiseg data check``.

    Raises:
        SemisegError: the first error found, what to do about it, and how many more there are.
    """
    findings = check_data(
        data.train, data.val, data.labelled_names, config.data.crop_size, resize=config.data.resize, quick=True,
        source=data.source, source_resize=config.data.source.resize,
    )  # fmt: skip
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        more = f" ({len(errors) - 1} more; `semiseg data check` lists them)" if len(errors) > 1 else ""
        raise SemisegError(f"{errors[0].where}: {errors[0].message}; {errors[0].remedy}{more}")


def stages_remark(config: Config) -> str | None:
    """One line where ``method.stages`` is set and changes nothing; None where it does or is off."""
    name, share = config.method.name, config.method.stages
    if share == 0:
        return None
    if not method_class(name).needs.unlabelled:
        return f"method.stages={share} has no effect: {name} trains on the labelled images alone all along"
    if first_stage(config) == 0:
        return (
            f"method.stages={share} has no effect: it is less than half a step of training.iterations="
            f"{config.training.iterations}; raise one of them"
        )
    return None


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
