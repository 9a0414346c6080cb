"""Commands to copy, as a shell takes them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path


def command_line(words: Iterable[str | Path]) -> str:
    """A command in one line. Every ``Path`` in it is written by :func:`path_word`; strings are taken as they are."""
    return shlex.join(path_word(word) if isinstance(word, Path) else word for word in words)


def path_word(path: str | Path) -> str:
    """A path as no program takes it for an option: ``./-photos``."""
    text = str(path)
    return f"./{text}" if text.startswith("-") else text
