"""Run folders by name: which folder is a run, which number is free, and which of several came last."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

CONFIG = "config.yaml"


def is_run(path: str | Path) -> bool:
    """Whether a folder is that of a run: it has a ``config.yaml`` and, unlike a data set, no ``images/``."""
    folder = Path(path)
    return (folder / CONFIG).is_file() and not (folder / "images").is_dir()


def named(base: Path, number: int) -> Path:
    """``runs/photos`` for 1, ``runs/photos-2`` for 2, and so on."""
    return base if number == 1 else base.with_name(f"{base.name}-{number}")


def numbers(base: Path) -> list[int]:
    """Those that are taken, from low to high, by whatever has such a name."""
    pattern = re.compile(re.escape(base.name) + r"-([1-9]\d*)")
    found = {1} if base.exists() else set()
    for path in base.parent.iterdir() if base.parent.is_dir() else ():
        if match := pattern.fullmatch(path.name):
            found.add(int(match[1]))
    return sorted(found)


def claim(base: Path) -> int:
    """Make the folder with the next number, which no other process gets, and return the number.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        number = max(numbers(base), default=0) + 1
        try:
            named(base, number).mkdir(parents=True)
        except FileExistsError:
            if number not in numbers(base):  # a file in the place of a folder above it
                raise
            continue
        return number


def latest(base: Path, belongs: Callable[[Path], bool]) -> Path | None:
    """The run with the highest number of those that ``belongs`` says yes to; None where there is none."""
    for number in reversed(numbers(base)):
        if is_run(path := named(base, number)) and belongs(path):
            return path
    return None
