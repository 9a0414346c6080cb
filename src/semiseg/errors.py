"""Errors that a user can cause and mend. The command line prints them as one line."""


class SemisegError(Exception):
    """Something went wrong that the message tells how to mend (exit code 1)."""


class UsageError(SemisegError):
    """A command, a key or a value was wrong (exit code 2)."""
