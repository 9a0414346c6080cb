"""What to say when a downloaded data set does not lie below the folder that was given."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from semiseg.data.files import contents
from semiseg.errors import SemisegError


def wrong_root(
    root: Path, missing: str, layout: str, holds: Callable[[Path], object], remedy: str, key: str = "data.root"
) -> SemisegError:
    """The error for a folder that does not hold a data set: what was expected, what was found, which folder to give.

    Args:
        root: the folder that was given.
        missing: what it lacks, e.g. ``labels/ of GTA5``.
        layout: what was expected.
        holds: whether a folder is laid out as expected; asked of those up to three levels above and two below ``root``,
            so that a root that is too low or too high is recognised.
        remedy: what to do when none of them is.
        key: configuration key of the root.
    """
    right = next((near for near in _around(root) if holds(near)), None)
    return SemisegError(
        f"no {missing} in {root}: expected {layout}; found: {contents(root)}; "
        + (f"give {key}={right}" if right else remedy)
    )


def _around(root: Path) -> Iterator[Path]:
    root = Path(os.path.abspath(root))  # without "..", links kept
    yield from root.parents[:3]
    below = _folders(root)
    yield from below
    for folder in below:
        yield from _folders(folder)


def _folders(above: Path) -> list[Path]:
    try:
        return sorted(path for path in above.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:  # missing, or closed to us
        return []
