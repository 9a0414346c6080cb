"""A progress bar in a terminal; silence elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from semiseg.runtime import distributed


class CountingBar:
    """``with CountingBar("predictions") as bar: … bar.update(done, total)``; only the first process shows it."""

    def __init__(self, title: str, shown: bool = True) -> None:
        self.title, self.shown = title, shown and sys.stderr.isatty()
        self.bar: Progress | None = None

    def update(self, done: int, total: int) -> None:
        """Show ``done`` of ``total``."""
        if not self.shown or not distributed.is_main():
            return
        if self.bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self.bar = Progress(*columns, console=Console(stderr=True))
            self.task = self.bar.add_task(self.title)
            self.bar.start()
        self.bar.update(self.task, completed=done, total=total)

    def __enter__(self) -> CountingBar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.stop()
