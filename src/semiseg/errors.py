"""Errors that a user can cause and fix; the command line prints them as one line."""

import difflib
from collections.abc import Iterable


class SemisegError(Exception):
    """Something went wrong; the message says what to do about it (exit code 1)."""


class UsageError(SemisegError):
    """A command, a key or a value is wrong (exit code 2)."""


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """``; did you mean 'x'?`` where a valid word resembles ``word``, else an empty string."""
    near = difflib.get_close_matches(word, list(valid), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
