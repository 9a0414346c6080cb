"""How far work has come: a bar in a terminal, a line now and then in a log file. Both fit 80 columns."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from semiseg.runtime import distributed

EVERY = 30.0
"""Seconds between two lines of a log file; work that takes less says nothing there."""
REST = 40
"""Columns beside the bar of a count: title, numbers and time left."""


def duration(seconds: float) -> str:
    """Seconds in a readable unit: 42 s, 12 min, 3.4 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def fitting(parts: Iterable[str], width: int) -> str:
    """As many of the ``parts`` from the first on as fit ``width`` columns, with commas between them; none is cut."""
    line = ""
    for part in parts:
        longer = f"{line}, {part}" if line else part
        if len(longer) > width:
            break
        line = longer
    return line


class CountingBar:
    """``with CountingBar("images") as bar: … bar.update(done, total)``; only the first process shows it.

    Args:
        title: what is counted, in a word or two.
        shown: off for ``--quiet`` and ``--json``.
    """

    def __init__(self, title: str, shown: bool = True) -> None:
        self.title, self.shown, self.terminal = title, shown, sys.stderr.isatty()
        self.began = self.told = time.monotonic()
        self.bar: Progress | None = None

    def update(self, done: int, total: int) -> None:
        """Show ``done`` of ``total``."""
        if not self.shown or not distributed.is_main():
            return
        if self.terminal:
            self._draw(done, total)
        elif (now := time.monotonic()) - self.told >= EVERY:
            self.told = now
            left = f", {duration((now - self.began) / done * (total - done))} left" if done else ""
            with suppress(OSError):  # a pipe whose reader has gone must not end the work
                print(f"{self.title}: {done} of {total}{left}", file=sys.stderr, flush=True)

    def _draw(self, done: int, total: int) -> None:
        if self.bar is None:
            console = Console(stderr=True)
            self.bar = Progress(
                TextColumn("{task.description}", markup=False), BarColumn(max(4, min(40, console.width - REST))),
                MofNCompleteColumn(), TimeRemainingColumn(), console=console,
            )  # fmt: skip
            self.task = self.bar.add_task(self.title, total=total)
            self.bar.start()
        self.bar.update(self.task, completed=done, total=total)

    def __enter__(self) -> CountingBar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.stop()
