"""Signals that ask a process to end: noted while work is under way that has to be saved, obeyed at once elsewhere."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any

ASKING = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1") if hasattr(signal, name)
)  # clusters send SIGTERM or, where so configured, SIGUSR1; a terminal SIGINT, and SIGHUP when it closes
ONE = 5.0
"""Seconds within which a second signal is the first one again: a terminal and a cluster send it to ``torchrun`` and to
its processes, to which ``torchrun`` then passes it on."""


class Stopped(KeyboardInterrupt):
    """A signal ended a piece of work; the message says what was saved.

    Attributes:
        signal: its number.
        saved: whether there is a checkpoint to go on from.
        run: the folder of the training that had begun.
    """

    def __init__(self, number: int, message: str = "", saved: bool = False, run: str | None = None) -> None:
        super().__init__(message)
        self.signal, self.saved, self.run = number, saved, run


class Signals:
    """``with Signals() as signals``: what asks to end is kept in ``received``; a second one ends the process at once.

    Within :meth:`deferred` the work goes on and looks at ``received`` itself; elsewhere :class:`Stopped` is raised.
    Signals that were ignored before, as under nohup, stay so. Nothing happens outside of the main thread, to which
    Python gives signals.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._deferring, self._at = False, 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in ASKING:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Go on inside, whatever comes, and obey afterwards."""
        outside, self._deferring = self._deferring, True
        try:
            yield
        finally:
            self._deferring = outside
        if self.received is not None and not outside:
            raise Stopped(self.received)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Obey inside of :meth:`deferred`: nothing here has to be saved."""
        outside, self._deferring = self._deferring, False
        try:
            if self.received is not None:
                raise Stopped(self.received)
            yield
        finally:
            self._deferring = outside

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            if _torchrun() and time.monotonic() - self._at < ONE:
                return
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.received, self._at = number, time.monotonic()
        if not _torchrun():  # obeyed by the system itself, even while a library computes
            for other in self._before:
                signal.signal(other, signal.SIG_DFL)
        if not self._deferring:
            raise Stopped(number)
        if os.environ.get("RANK", "0") == "0":
            text = f"semiseg: {signal.Signals(number).name}: finishing the step, then saving; once more ends at once\n"
            with suppress(OSError):  # the terminal whose end this is
                os.write(2, text.encode())  # print may be what was interrupted


def _torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ
