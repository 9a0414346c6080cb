"""Errors that a user can cause and fix, printed by the command line as one line; hints at the nearest valid word."""

import difflib
from collections.abc import Iterable


class SemisegError(Exception):
    """Something went wrong that the message tells how to mend (exit code 1)."""


class UsageError(SemisegError):
    """A command, a key or a value was wrong (exit code 2)."""


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """``; did you mean 'x'?`` when something near ``word`` is valid, else an empty string."""
    near = difflib.get_close_matches(word, list(valid), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
