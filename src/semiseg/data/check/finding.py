"""One thing to know before training."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from semiseg.data.layouts.command import ConvertFirst
from semiseg.errors import SemisegError

NAMED = 20  # files of one kind of fault that are listed


@dataclass(frozen=True)
class Finding:
    """One thing to know before training; ``remedy`` says what to do about it.

    ``command`` is what in the remedy is to be copied; ``files`` are the places of all that :func:`by_kind` found alike.
    """

    level: Literal["error", "warning", "info"]
    where: str
    message: str
    remedy: str
    command: str = ""
    files: tuple[str, ...] = ()


def from_error(where: str, error: SemisegError, remedy: str = "correct that and check again") -> Finding:
    """An error as a finding: what follows the last "; " of its message says what to do, else ``remedy`` does."""
    command = error.command if isinstance(error, ConvertFirst) else ""
    message, semicolon, advice = str(error).rpartition("; ")
    if not semicolon:
        message, advice = advice, remedy
    return Finding("error", where, message, advice, command)


def by_kind(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for each kind of fault: those that differ only in their file and in numbers become one.

    It stands where the first of them stood, says how many files there are, and names them.
    """
    kinds: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        name = finding.where.rpartition("/")[2]
        kind = (finding.level, _kind(finding.message, name), _kind(finding.remedy, name))
        kinds.setdefault(kind, []).append(finding)
    return [_joined(alike) for alike in kinds.values()]


def _joined(alike: list[Finding]) -> Finding:
    first = alike[0]
    if len(alike) == 1:
        return first
    files = tuple(finding.where for finding in alike)
    return replace(first, message=f"{len(alike)} files alike, first: {first.message}", files=files[:NAMED])


def _kind(text: str, name: str) -> str:
    """A text without its file and numbers."""
    if name:
        words = [word for word in text.split(" ") if Path(word.rstrip(":,")).stem not in (name, Path(name).stem)]
        text = " ".join(words)
    text = re.sub(r"train/\S+|val/\S+|source/\S+", "…", text)
    return re.sub(r"\d+(, \d+)*", "#", text)
