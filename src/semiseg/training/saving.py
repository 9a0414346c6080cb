"""Saving a run, and what follows a save because it may fail: renewed statistics and the validation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from semiseg.runs import checkpoint
from semiseg.runtime import distributed
from semiseg.training.building import networks
from semiseg.training.refresh import refresh_batch_norm
from semiseg.training.state import model_state, run_state

if TYPE_CHECKING:
    from semiseg.training.loop import Run


def save(run: Run) -> None:
    """Write ``last.pt``: the first process does, the others wait, so that none leaves before it is whole.

    Raises:
        SemisegError: it cannot be written.
    """
    state = run_state(run)
    if run.main:
        if run.log is not None:
            run.log.sync()
        run.kept.save_last(model_state(run) | state)
    distributed.barrier()
    run.saved, run.saved_at = run.iteration, time.monotonic()


def save_best(run: Run) -> None:
    """Write ``best.pt``, as :func:`save`; a signal waits until it is whole."""
    with run.signals.deferred():
        if run.main:
            checkpoint.save(run.best, model_state(run))
        distributed.barrier()


def settle(run: Run) -> None:
    """Do what is pending. A run that ends meanwhile does it again from its last checkpoint."""
    if "refresh" in run.pending:
        every = run.config.training.batch_norm_refresh_teacher
        renewed = networks(run.method) if every else run.method.learners().values()
        with run.signals.at_once():
            refresh_batch_norm(renewed, run.config, run.data, run.device, run.layout)
        run.pending.remove("refresh")
        save(run)
    if "validation" in run.pending:
        with run.signals.at_once():
            run.bar.miou = run.validator.validate(run.iteration, run.clock.seconds, run.log, lambda: save_best(run))
        if run.validator.sentence is not None:
            run.bar.say(f"{run.iteration}/{run.config.training.iterations}: {run.validator.sentence}")
        run.pending.remove("validation")
