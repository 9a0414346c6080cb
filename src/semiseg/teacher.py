"""The teacher: an exponential moving average of the student, eq. 2."""

from __future__ import annotations

import copy
import math
from typing import Literal, TypeVar

import torch
from torch import nn

Buffers = Literal["copy", "ema", "keep"]


Network = TypeVar("Network", bound=nn.Module)


def make_teacher(student: Network) -> Network:
    """A copy of ``student`` that never receives gradients (section 3)."""
    teacher = copy.deepcopy(student)
    return teacher.requires_grad_(False)


def momentum(iteration: int, total: int, start: float = 0.995, end: float = 1.0) -> float:
    """τ of eq. 2 at ``iteration`` of ``total``: from 0.995 to 1 (section 4.2) along a half cosine.

    τ = end - (end - start)·(cos(π i/N) + 1)/2; the paper gives the ends, the cosine is the authors' code.
    """
    return end - (end - start) * (math.cos(math.pi * min(iteration / max(total, 1), 1.0)) + 1) / 2


def momentum_of_half_life(share: float, total: int) -> float:
    """τ = 2^(-1/(share·N)), under which half of what the teacher knows is forgotten after ``share`` of the N steps.

    The paper's τ → 1 was made for 150 000 steps; in a run of hundreds it leaves the teacher with weights of long ago. A
    share of the run keeps the teacher equally close to its student whatever the length.
    """
    return 2.0 ** (-1 / max(share * total, 1e-9))


@torch.no_grad()
def update(teacher: nn.Module, student: nn.Module, tau: float, buffers: Buffers = "copy") -> None:
    """Eq. 2: ξ ← τ ξ + (1 - τ) θ, in place, all parameters in one fused call per device and dtype.

    Args:
        teacher: network ξ, changed in place.
        student: network θ of the same shape, left alone.
        tau: τ in [0, 1].
        buffers: BatchNorm statistics: ``"copy"`` takes the student's, ``"ema"`` averages them like
            parameters (integer counters are copied), ``"keep"`` leaves the teacher's own (for a teacher
            that runs on batch statistics).
    """
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - tau)
    if buffers == "keep":
        return
    pairs = list(zip(teacher.buffers(), student.buffers(), strict=True))
    averaged = [pair for pair in pairs if buffers == "ema" and pair[0].is_floating_point()]
    copied = [pair for pair in pairs if not (buffers == "ema" and pair[0].is_floating_point())]
    if averaged:
        torch._foreach_lerp_([t for t, _ in averaged], [s for _, s in averaged], 1 - tau)
    if copied:
        torch._foreach_copy_([t for t, _ in copied], [s for _, s in copied])
