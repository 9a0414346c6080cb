"""One thing to know before training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from semiseg.errors import SemisegError


@dataclass(frozen=True)
class Finding:
    """One thing to know before training; ``remedy`` says what to do about it."""

    level: Literal["error", "warning", "info"]
    where: str
    message: str
    remedy: str


def from_error(where: str, error: SemisegError, remedy: str = "correct that and check again") -> Finding:
    """An error as a finding: what follows the last "; " of its message says what to do, else ``remedy`` does."""
    message, semicolon, advice = str(error).rpartition("; ")
    return Finding("error", where, message, advice) if semicolon else Finding("error", where, advice, remedy)
