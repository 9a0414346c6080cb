"""The clock of a run: seconds in all, images a second, and the share of them spent waiting for data."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Measures from one line of the log to the next; ``seconds`` are those of the parts before a resume."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.before, self.began = seconds, time.monotonic()
        self.restart()

    @property
    def seconds(self) -> float:
        """Of the whole run, its earlier parts included."""
        return self.before + time.monotonic() - self.began

    def restart(self) -> None:
        """Begin the next line of the log: what was validated or saved meanwhile does not count."""
        self.steps, self.waited, self.marked = 0, 0.0, time.monotonic()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time spent inside is time without data."""
        began = time.monotonic()
        yield
        self.waited += time.monotonic() - began

    def speed(self, images_a_step: int) -> tuple[float, float]:
        """Images a second since the last line, and the share of the time that went into waiting."""
        passed = time.monotonic() - self.marked
        return self.steps * images_a_step / passed, self.waited / passed
