"""Many processes as one: sums, means and gathers that make them equal one process with the joint batch.

They are joined by torch.distributed, which ``torchrun`` starts: nothing to install, and Lightning Fabric and Accelerate
rest on it as well. Every function is the identity in a single process, so there is one code path.
"""

from __future__ import annotations

import os
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_reduce as differentiable_all_reduce

from semiseg.errors import SemisegError, UsageError

TIMEOUT = timedelta(minutes=10)  # of one collective: the slowest process must finish a validation within it
_on_cpu: list[dist.ProcessGroup] = []  # joins the processes without waiting for their devices


def launched() -> bool:
    """Whether ``torchrun`` (or another launcher that sets its variables) started this process among others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def start(device: torch.device) -> torch.device:
    """Join the other processes; returns the device of this one.

    Raises:
        UsageError: more processes on this machine than CUDA devices.
        SemisegError: the processes do not find each other.
    """
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if not launched() or dist.is_initialized():
        return torch.device("cuda", local) if dist.is_initialized() and device.type == "cuda" else device
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise UsageError(
                f"process {local} of this machine has no CUDA device for itself ({torch.cuda.device_count()} found); "
                "start torchrun with as many --nproc-per-node as there are devices, or use training.device=cpu"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
        if device.type == "cuda":
            _on_cpu.append(dist.new_group(backend="gloo", timeout=TIMEOUT))
    except (RuntimeError, ValueError) as error:
        raise SemisegError(
            f"the processes of this job do not find each other ({error}); start them with torchrun"
        ) from None
    return device


def stop() -> None:
    """Leave the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()
        _on_cpu.clear()


def lost_another(error: RuntimeError) -> bool:
    """Whether an error says that another process of the job has ended."""
    signs = ("peer", "gloo", "NCCL", "Broken pipe")
    return world() > 1 and any(sign in str(error) for sign in signs)


def rank() -> int:
    """Number of this process, starting at 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this process writes files and speaks to the user."""
    return rank() == 0


def barrier() -> None:
    """Wait for all processes."""
    if world() > 1:
        dist.barrier()


def total(values: Tensor) -> Tensor:
    """Sum over the processes, without gradients; a new tensor of the same shape."""
    if world() == 1:
        return values
    summed = values.detach().clone()
    dist.all_reduce(summed)
    return summed


def mean(values: Tensor) -> Tensor:
    """Mean over the processes, without gradients."""
    return values if world() == 1 else total(values) / world()


def sums(*numbers: int) -> list[int]:
    """Whole numbers summed over the processes."""
    device = torch.device("cuda") if world() > 1 and dist.get_backend() == "nccl" else torch.device("cpu")
    return [int(value) for value in total(torch.tensor(numbers, device=device)).tolist()]


def smallest(number: int) -> int:
    """The smallest of the processes' whole numbers."""
    if world() == 1:
        return number
    value = torch.tensor(number, device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(value, dist.ReduceOp.MIN)
    return int(value)


def largest(*numbers: int) -> tuple[int, ...]:
    """The largest of the processes' whole numbers, one by one, without waiting for a device: little beside a step."""
    if world() == 1:
        return numbers
    values = torch.tensor(numbers)
    dist.all_reduce(values, dist.ReduceOp.MAX, group=_on_cpu[0] if _on_cpu else None)
    return tuple(int(value) for value in values)


def total_with_gradient(values: Tensor) -> Tensor:
    """Sum over the processes; the gradient is summed over them as well.

    A loss made of such sums is the same in every process and its gradient is counted once by each; the *average* of the
    gradients over the processes, which data-parallel training takes, is then that of the joint batch.
    """
    return values if world() == 1 else differentiable_all_reduce(values)  # type: ignore[no-untyped-call]


def gathered(values: Tensor) -> Tensor:
    """Rows of all processes, (N, …) → (Σ N, …), in the order of their ranks; all must have equally many rows."""
    if world() == 1:
        return values
    parts = [torch.empty_like(values) for _ in range(world())]
    dist.all_gather(parts, values.contiguous())
    return torch.cat(parts)
