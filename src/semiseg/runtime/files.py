"""Files that are whole or not there: whatever stops a process, nobody meets half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL = ".partial"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write beside ``path``, which takes its place in one step once it is on the disk; its folder is made.

    Where writing fails, the file that was there stays and nothing is left beside it. A process that is killed leaves
    ``NAME.partial``, which the next one writes over.

    Raises:
        OSError: no place, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + PARTIAL)
    try:
        yield partial
        _to_disk(partial)
        os.replace(partial, path)
    finally:  # after success too: a link to the very file that it was to replace stays where it is
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    with suppress(OSError):  # some file systems take no such call for a folder
        _to_disk(path.parent)


def write_text(path: Path, text: str, errors: str = "strict") -> None:
    """Write UTF-8 text in place of what is there, by :func:`replacing`."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", errors=errors)


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows asks for the right to write
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
