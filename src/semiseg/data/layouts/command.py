"""The command that makes a folder usable, and the error that gives it."""

from __future__ import annotations

from pathlib import Path

from semiseg.errors import SemisegError
from semiseg.runtime.shell import command_line


def convert_command(root: Path, form: str = "colour", source: Path | None = None, words: tuple[str, ...] = ()) -> str:
    """``semiseg data convert …`` for a folder, whole and quoted, with an output that does not exist yet.

    Args:
        root: the folder, after which the new one is called.
        form: the value of ``--from``.
        source: the file or folder to convert, if it is not ``root``.
        words: further options.
    """
    base = root if root.name and root.name != ".." else Path(root.resolve().name or "folder")
    place = base if base is root else root.resolve().parent / base.name
    output, count = Path(f"{place}_converted"), 1
    while output.exists():
        count += 1
        output = Path(f"{place}_converted_{count}")
    return command_line(["semiseg", "data", "convert", source or root, "--from", form, *words, "--output", output])


class ConvertFirst(SemisegError):
    """A folder that cannot be read before it is converted; ``command`` does it, and is the end of the message."""

    def __init__(self, told: str, command: str) -> None:
        super().__init__(f"{told} {command}")
        self.command = command
