"""Processes that load images: started again where one is killed."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from semiseg.errors import SemisegError
from semiseg.training.journal import remark

RESTARTS = 3
"""Times that workers are started again in a run before it ends with a line."""


def restarted(loader: Callable[[int], Iterable[dict[str, Any]]], first: int) -> Iterator[dict[str, Any]]:
    """The batches from ``first`` on; where a worker is killed, others go on: crops are functions of their position.

    Args:
        loader: makes the loader of the batches from a number on.
        first: number of the first batch.

    Raises:
        SemisegError: workers are killed again and again.
    """
    given, restarts = first, 0
    while True:
        try:
            with _deaths_found_by_asking():
                batches = iter(loader(given))
            for batch in batches:
                yield batch
                given += 1
            return
        except (RuntimeError, EOFError, OSError) as error:
            if not _of_a_killed_worker(error):
                raise
            restarts += 1
            reason = "a process that loads images was killed, perhaps for want of memory"
            if restarts > RESTARTS:
                raise SemisegError(
                    f"{reason}, {restarts} times by now: lower data.workers, or set data.cache=false, and go on with "
                    "--auto-resume"
                ) from error
            remark(f"{reason}; others take its place")


def _of_a_killed_worker(error: Exception) -> bool:
    """Whether a process that loads images died: PyTorch says so, or the main one was just receiving from it.

    A batch comes as a file descriptor, for which the worker is asked through a socket; one that dies at that moment
    leaves an end of file, a connection refused or reset, or no socket, and ends the thread that pins memory. What
    images raise in a worker that lives arrives as ``Caught … in DataLoader worker process``, of whatever class, and
    is no death.
    """
    if str(error).startswith("Caught "):
        return False
    if isinstance(error, RuntimeError):
        return any(told in str(error) for told in ("DataLoader worker", "Pin memory thread exited"))
    frames = traceback.extract_tb(error.__traceback__)
    return any(Path(frame.filename).parts[-2:-1] == ("multiprocessing",) for frame in frames)


@contextmanager
def _deaths_found_by_asking() -> Iterator[None]:
    """PyTorch raises the death of a worker in the midst of a step; asked for the next batch, it finds it as well."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGCHLD"):
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)
