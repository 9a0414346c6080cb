"""Losses and gradients that are no numbers: in which step they arose, and of which images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from semiseg.data.run_data import RunData
from semiseg.methods.base import Batch
from semiseg.runtime import distributed

NAMED = 8
"""Images of a kind that a message names."""


class Crops(NamedTuple):
    """Which images the crops of a batch are of: int64 (B,) on the CPU; ``target`` as in :class:`Batch`."""

    labelled: Tensor | None
    target: Tensor | None
    unlabelled: Tensor | None

    @classmethod
    def of(cls, labelled: Batch, unlabelled: Batch | None) -> Crops:
        return cls(labelled.image_index, labelled.target, None if unlabelled is None else unlabelled.image_index)


class _Seen(NamedTuple):
    iteration: int
    names: list[str]
    finite: Tensor
    crops: list[Crops]


def gradients_finite(parameters: Iterable[nn.Parameter]) -> Tensor | None:
    """Whether all gradients are numbers, bool () on their device, which is not waited for; None without any."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return None
    return torch.stack(torch._foreach_norm(gradients)).isfinite().all()


class FiniteWatch:
    """Looks at every step: on a CPU at once, on another device, or where processes share the steps, when the means of
    the log are known to be bad, since to look means to wait for the device, or for the others.

    Args:
        data: of the run, for the images' names.
        device: of the training.
    """

    def __init__(self, data: RunData, device: torch.device) -> None:
        self.data, self.at_once = data, device.type == "cpu" and distributed.world() == 1
        self.seen: list[_Seen] = []

    def look(self, iteration: int, losses: dict[str, Tensor], gradients: Tensor | None, crops: list[Crops]) -> bool:
        """Whether step ``iteration`` is known to be bad now.

        Args:
            iteration: from 0.
            losses: scalars by name.
            gradients: as :func:`gradients_finite` gives them.
            crops: of each batch of the step.
        """
        flags = {name: value.isfinite() for name, value in losses.items()}
        if gradients is not None:
            flags["gradients"] = gradients
        self.seen.append(_Seen(iteration, list(flags), torch.stack(list(flags.values())), crops))
        if not self.at_once:
            return False
        if not self.seen[-1].finite.all():
            return True
        self.seen.clear()
        return False

    def clear(self) -> None:
        """Forget what was good."""
        self.seen.clear()

    def first(self) -> str | None:
        """What went wrong first among the steps since the last clearing; None where this process saw nothing."""
        for step in self.seen:
            if bad := [name for name, finite in zip(step.names, step.finite.tolist(), strict=True) if not finite]:
                return f"{', '.join(bad)} became NaN or infinite in step {step.iteration + 1}{self._images(step.crops)}"
        return None

    def _images(self, crops: list[Crops]) -> str:
        labelled: list[int] = []
        source: list[int] = []
        unlabelled: list[int] = []
        for batch in crops:
            if batch.labelled is not None:
                own = [True] * len(batch.labelled) if batch.target is None else batch.target.tolist()
                for i, is_own in zip(batch.labelled.tolist(), own, strict=True):
                    (labelled if is_own else source).append(i)
            unlabelled += [] if batch.unlabelled is None else batch.unlabelled.tolist()
        parts = [_named("labelled", labelled, self.data.train.names), _named("unlabelled", unlabelled,
                                                                           self.data.train.names)]  # fmt: skip
        if self.data.source is not None:
            parts.insert(1, _named("source", source, self.data.source.names))
        told = "; ".join(part for part in parts if part)
        return f" ({told})" if told else ""


def _named(kind: str, indices: list[int], names: list[str]) -> str:
    chosen = list(dict.fromkeys(names[i] for i in indices))
    more = f" and {len(chosen) - NAMED} more" if len(chosen) > NAMED else ""
    return f"{kind}: {', '.join(chosen[:NAMED])}{more}" if chosen else ""
