"""One process trains in a run folder: a file there says which."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from semiseg.errors import UsageError
from semiseg.runtime.shell import command_line

NAME = "lock.json"
GUARD = ".lock"


def me() -> dict[str, Any]:
    """Who this process is: its machine, its number there, and when it was started."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": started(os.getpid())}


def started(pid: int) -> str | None:
    """When process ``pid`` of this machine began, as the machine counts; None where none runs, or none is counted."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *numbers = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return None if state in "ZX" else f"{boot} {numbers[18]}"  # dead, and not yet asked after by its parent


def is_held(run_dir: Path) -> bool:
    """Whether a process trains in a run folder; of one on another machine the file alone says so."""
    try:
        holder = _read(run_dir / NAME)
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
        with _alone(self.path.parent):
            holder = _read(self.path)
            if holder is not None and holder != me():
                self._check(holder)
            self.path.write_text(json.dumps(me()) + "\n", encoding="utf-8")
        if holder is None or holder == me():
            return None
        return f"process {holder['pid']} that trained in {self.path.parent} is gone; its {NAME} is taken over"

    def release(self) -> None:
        """Give the folder back, and remove it where it was made for nothing."""
        with suppress(OSError):
            if self.path.is_file():
                with _alone(self.path.parent):
                    if _read(self.path) == me():
                        self.path.unlink()
            if self.made:
                self.path.parent.rmdir()  # which only an empty one lets happen

    def _check(self, holder: dict[str, Any]) -> None:
        """Raises UsageError where the holder may be alive."""
        run, pid, host = self.path.parent, holder["pid"], holder["host"]
        if host != socket.gethostname():
            raise UsageError(
                f"process {pid} of machine {host} trains in {run}; wait for it, or choose another run_dir=. If that "
                f"machine or process is gone: {command_line(['rm', self.path])}"
            )
        if _alive(pid) and holder.get("started") == started(pid):
            raise UsageError(
                f"process {pid} of this machine trains in {run}; wait for it, end it (kill {pid}), or choose another "
                "run_dir="
            )


def _alive(pid: int) -> bool:
    if sys.platform.startswith("linux"):
        return Path(f"/proc/{pid}").exists()
    if sys.platform == "win32":  # where signal 0 is Ctrl-C
        import psutil

        return bool(psutil.pid_exists(pid))
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _read(path: Path) -> dict[str, Any] | None:
    """The holder; None without a file, or with one whose writer was killed."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if {"host", "pid"} <= found.keys() else None
    except (ValueError, AttributeError, FileNotFoundError):
        return None


@contextmanager
def _alone(run_dir: Path) -> Iterator[None]:
    """No other process of this machine looks at the file meanwhile."""
    guard = run_dir / GUARD
    lock = FileLock(guard)
    with suppress(OSError):  # a file system without such locks
        lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):
            guard.unlink()  # whoever waits for it finds it gone, and makes another
        lock.release()
