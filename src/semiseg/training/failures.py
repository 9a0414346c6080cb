"""What ends a training, in one line that says what is kept and what to do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import Signals

import torch

from semiseg.errors import SemisegError
from semiseg.inference.plan import out_of_memory
from semiseg.runtime import distributed
from semiseg.runtime.signals import Stopped
from semiseg.training.optimisers import Optimisers
from semiseg.training.preflight import SAVERS


@contextmanager
def explained(device: torch.device, last: Path, iteration: Callable[[], int]) -> Iterator[None]:
    """Out of memory, and the end of another process, as one line.

    Args:
        device: of the training.
        last: the checkpoint that is kept.
        iteration: asked for the steps done.

    Raises:
        SemisegError: in their place.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and distributed.lost_another(error):
            raise SemisegError(
                f"another process of this job ended; once its cause is repaired, --auto-resume goes on from {last}"
            ) from error
        if not out_of_memory(error):
            raise
        kept = f"; {last} is kept (--resume with its settings, or start anew)" if last.exists() else ""
        raise SemisegError(f"out of memory on {device} at iteration {iteration()}: try {SAVERS}{kept}") from error


def stopped(
    number: int, done: int | None = None, steps: int = 0, last: Path | None = None, saved: int | None = None
) -> Stopped:
    """The end by a signal, in words.

    Args:
        number: of the signal.
        done, steps: steps done, and of the whole run; None where the run had not begun.
        last: the last checkpoint.
        saved: the step that it holds; None where there is none.
    """
    name = Signals(number).name
    if done is None:
        return Stopped(number, f"{name} before training began; nothing was changed")
    run = None if last is None else str(last.parent.parent)
    if saved is None:
        return Stopped(number, f"{name} after step {done} of {steps}; no checkpoint was saved", run=run)
    what = "all of it is saved" if saved == done else f"step {saved} is saved"
    return Stopped(number, f"{name} after step {done} of {steps}; {what} in {last}", saved=True, run=run)


def check_finite(
    means: dict[str, float], optimisers: Optimisers | None, iteration: int, last: Path, first: str | None = None
) -> None:
    """Stop on a loss that is no number, and before a save on weights that a bad gradient has spoilt.

    Args:
        means: of the losses since the last line of the log.
        optimisers: whose parameters are looked at too; None where nothing is about to be saved.
        iteration: steps done.
        last: the checkpoint that is kept.
        first: what went wrong first, where that is known.

    Raises:
        SemisegError: names the losses, and what is kept.
    """
    bad = [name for name, value in means.items() if not math.isfinite(value)]
    if optimisers is not None and not bad and not optimisers.are_finite():
        bad = ["weights"]
    if bad or first:
        said = ", ".join(bad)
        kept = f"the last good checkpoint is {last}" if last.exists() else "no checkpoint was saved yet"
        raise SemisegError(
            f"{first or f'{said} became NaN or infinite by iteration {iteration}'}; {kept}. Lower "
            "training.learning_rate, or set training.gradient_clip=10, and start again"
        )
