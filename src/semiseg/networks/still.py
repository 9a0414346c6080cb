"""A pass through a module that stands still: gradients reach what goes in, and none its parameters."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.func import functional_call


def standing_still(module: nn.Module, *given: Any) -> Any:
    """``module(*given)`` as if its parameters were constants.

    So two parts that learn from each other do so in one backward pass: a student sees a critic that stands still, and
    the critic is given outputs without a student (``detach``).
    """
    constants = {name: parameter.detach() for name, parameter in module.named_parameters()}
    return functional_call(module, constants, given)
