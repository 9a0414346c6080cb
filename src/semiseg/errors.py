"""Errors that a user can cause and fix; the command line prints them as one line."""

import difflib
import re
from collections.abc import Iterable

LONGEST_WORD, LONGEST_LINE = 1000, 4000
"""Characters without a space, and characters of a message, that are shown: longer ones lose their middle. A command to
copy has neither."""
LONGEST_VALUE = 120


class SemisegError(Exception):
    """Something went wrong; the message says what to do about it (exit code 1).

    Other people's file names and values may stand in it, so it reads as one line (:func:`one_line`).
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


class UsageError(SemisegError):
    """A command, a key or a value is wrong (exit code 2)."""


def one_line(message: object) -> str:
    """A message without line ends, control characters and bytes that are no text, which are written as ``\\n``,
    ``\\x1b`` or ``\\udcff``; what is longer than anyone reads loses its middle."""
    text = "".join(_shown(character) for character in str(message))
    text = re.sub(rf"\S{{{LONGEST_WORD + 1},}}", lambda word: shortened(word[0], LONGEST_WORD), text)
    return shortened(text, LONGEST_LINE)


def value_shown(value: object) -> str:
    """``repr`` of a value that somebody else wrote, cut where it is long: a few thousand characters help nobody."""
    return shortened(repr(value), LONGEST_VALUE)


def shortened(text: str, length: int) -> str:
    """Text of at most ``length`` characters, and a few that say how many were left out of its middle."""
    if len(text) <= length:
        return text
    head, tail = length * 2 // 3, length - length * 2 // 3
    return f"{text[:head]}…({len(text) - length} characters)…{text[-tail:]}"


def did_you_mean(word: str, valid: Iterable[str], cutoff: float = 0.5) -> str:
    """``; did you mean 'x'?`` where a valid word resembles ``word``, by ``cutoff`` at least, else an empty string."""
    near = difflib.get_close_matches(word[:LONGEST_VALUE], list(valid), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]!r}?" if near else ""


def _shown(character: str) -> str:
    if character.isprintable() or character == "\N{NO-BREAK SPACE}":
        return character
    return character.encode("unicode_escape", "surrogatepass").decode()
