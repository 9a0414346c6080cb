"""One process trains in a run folder: a file there says which."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from semiseg.errors import UsageError

NAME = "lock.json"


def me() -> dict[str, Any]:
    """Who this process is: its machine, its number there, and when it was started."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": started(os.getpid())}


def started(pid: int) -> str | None:
    """When process ``pid`` of this machine began, as the machine counts; None where none runs, or none is counted."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *numbers = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return None if state in "ZX" else f"{boot} {numbers[18]}"  # dead, and not yet asked after by its parent


def is_held(run_dir: Path) -> bool:
    """Whether a process trains in a run folder; of one on another machine the file alone says so."""
    try:
        with (run_dir / NAME).open(encoding="utf-8") as file:
            holder = _read(file)
    except OSError:
        return False
    if holder is None:
        return False
    elsewhere = holder["host"] != socket.gethostname()
    return elsewhere or (_alive(holder["pid"]) and holder.get("started") == started(holder["pid"]))


class RunLock:
    """``lock.json`` in a run folder, with the process that trains there.

    Readers of the folder need none. A process that was killed leaves its file, which the next one recognises: on the
    same machine no process of that number, or one that was started at another time. Of other machines it cannot know.

    Args:
        run_dir: made by :meth:`acquire` where it is missing.
        made: whether it was made for this run just now.
    """

    def __init__(self, run_dir: Path, made: bool = False) -> None:
        self.path, self.made = run_dir / NAME, made

    def acquire(self) -> str | None:
        """Take the folder; returns a remark where its last holder was killed.

        Raises:
            UsageError: another process trains there.
        """
        self.made = self.made or not self.path.parent.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(self.path) as file:
            holder = _read(file)
            if holder is not None and holder != me():
                self._check(holder)
            file.seek(0)
            file.truncate()
            file.write(json.dumps(me()) + "\n")
        if holder is None or holder == me():
            return None
        return f"process {holder['pid']} that trained in {self.path.parent} is gone; its {NAME} is taken over"

    def release(self) -> None:
        """Give the folder back, and remove it where it was made for nothing."""
        with suppress(OSError):
            if self.path.is_file():
                with _alone(self.path) as file:
                    if _read(file) == me():
                        self.path.unlink()
            if self.made:
                self.path.parent.rmdir()  # which only an empty one lets happen

    def _check(self, holder: dict[str, Any]) -> None:
        """Raises UsageError where the holder may be alive."""
        run, pid, host = self.path.parent, holder["pid"], holder["host"]
        if host != socket.gethostname():
            raise UsageError(
                f"process {pid} of machine {host} trains in {run}; wait for it, or choose another run_dir=. If that "
                f"machine or process is gone: rm {shlex.quote(str(self.path))}"
            )
        if _alive(pid) and holder.get("started") == started(pid):
            raise UsageError(
                f"process {pid} of this machine trains in {run}; wait for it, end it (kill {pid}), or choose another "
                "run_dir="
            )


def _alive(pid: int) -> bool:
    if sys.platform.startswith("linux"):
        return Path(f"/proc/{pid}").exists()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _read(file: TextIO) -> dict[str, Any] | None:
    """The holder; None in a new file, or one whose writer was killed."""
    try:
        found = json.loads(file.read())
        return found if {"host", "pid"} <= found.keys() else None
    except (ValueError, AttributeError):
        return None


@contextmanager
def _alone(path: Path) -> Iterator[TextIO]:
    """The file, made where it is missing, which no other process of this machine looks at meanwhile."""
    while True:
        with path.open("a+", encoding="utf-8") as file:
            with suppress(OSError):  # a file system without such locks
                fcntl.flock(file, fcntl.LOCK_EX)
            if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                continue  # removed while this process waited
            file.seek(0)
            yield file
            return
