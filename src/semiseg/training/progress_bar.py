"""How far a training has come: a bar in a terminal, a line every half minute elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.table import Column
from rich.text import Text

from semiseg.runtime.progress import EVERY, duration, fitting
from semiseg.training.journal import tell

BAR = 20
"""Columns of the bar itself."""
LONG = 60.0
"""Seconds from which on the time that a run will take is told after its first steps."""


class ProgressBar:
    """Step, mIoU, time left, images a second and losses, the most wanted first: a terminal shows what fits its width.

    Args:
        total: steps of the run.
        start: steps that it goes on from.
        title: of the lines in a log file.
        terms: names of the losses, in the order to show them.
        shown: off for ``--quiet`` and in processes beside the first.

    Attributes:
        miou: of the last validation, in percent.
    """

    def __init__(self, total: int, start: int, title: str, terms: Sequence[str], shown: bool = True) -> None:
        self.total, self.start, self.title, self.terms, self.shown = total, start, title, terms, shown
        self.began = self.printed = time.monotonic()
        self.marks: list[tuple[int, float]] = []  # step and time of the first two lines
        self.miou: float | None = None
        self.bar: Progress | None = None
        if shown and sys.stderr.isatty():
            self.bar = Progress(BarColumn(BAR), _State(), console=Console(stderr=True))
            self.task = self.bar.add_task(title, total=total, completed=start, parts=[f"{start}/{total}"])
            self.bar.start()

    def advance(self, iteration: int, losses: Mapping[str, float], images_per_second: float) -> None:
        """Show the state after ``iteration`` steps."""
        now = time.monotonic()
        left = (now - self.began) / max(1, iteration - self.start) * (self.total - iteration)
        parts = [
            *([] if self.miou is None else [f"mIoU {self.miou:.1f}"]), f"{duration(left)} left",
            f"{images_per_second:.1f} img/s", *(f"{name} {losses[name]:.3f}" for name in self.terms if name in losses),
        ]  # fmt: skip
        if self.bar is not None:
            self.bar.update(self.task, completed=iteration, parts=[f"{iteration}/{self.total}", *parts])
        elif self.shown and (now - self.printed > EVERY or iteration == self.total):
            self.printed = now
            tell(f"{self.title} {iteration}/{self.total}: {', '.join(parts)}")
        if len(self.marks) < 2:
            self._expect(iteration, now)

    def _expect(self, iteration: int, now: float) -> None:
        """Say how long the run will take, once steps were timed that claim no memory and start no process any more."""
        self.marks.append((iteration, now))
        if len(self.marks) < 2:
            return
        (before, then), _ = self.marks
        a_step = (now - then) / (iteration - before)
        if (seconds := a_step * (self.total - iteration)) >= LONG:
            self.say(
                f"expected: {duration(seconds)} for the {self.total - iteration} steps that are left, "
                f"{a_step:.2g} s each, and the validations"
            )

    def say(self, line: str) -> None:
        """A line above the bar, whole: a terminal wraps it where it is narrower."""
        if self.bar is not None:
            with suppress(OSError):
                self.bar.console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
        elif self.shown:
            tell(line)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self.bar is not None:
            with suppress(OSError):
                self.bar.stop()


class _State(ProgressColumn):
    """The parts of a line beside the bar, as many as fit the terminal."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True))
        self.console = Console(stderr=True)

    def render(self, task: Task) -> Text:
        return Text(fitting(task.fields["parts"], self.console.width - BAR - 1))
