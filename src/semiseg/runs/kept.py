"""The checkpoints that a run keeps: the last, the one before it, and the best."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semiseg.errors import SemisegError
from semiseg.runs import checkpoint
from semiseg.runs.seal import fault
from semiseg.runtime.files import PARTIAL, replacing


@dataclass
class Found:
    """A state to go on from.

    Attributes:
        state: what was saved, in main memory.
        path: of the file that it was read from.
        remarks: what the user should know.
        best: the file that has to take the place of ``best.pt``, or None.
    """

    state: dict[str, Any]
    path: Path
    remarks: list[str] = field(default_factory=list)
    best: Path | None = None


class Kept:
    """``last.pt``, ``previous.pt`` and ``best.pt`` in the folder ``checkpoints`` of a run.

    ``previous_best.pt`` is the best one at the time of ``previous.pt``, on most file systems the same file as
    ``best.pt``: from ``previous.pt`` on, a run must not meet a best one of its future.
    """

    def __init__(self, run_dir: Path) -> None:
        self.folder = run_dir / "checkpoints"
        self.last, self.previous, self.best, self.previous_best = (
            self.folder / f"{name}.pt" for name in ("last", "previous", "best", "previous_best")
        )

    def any(self) -> bool:
        """Whether there is one, damaged or not."""
        return any(path.exists() for path in (self.last, self.previous, self.best))

    def save_last(self, state: dict[str, Any]) -> None:
        """Write ``last.pt``; the one that was there becomes ``previous.pt``.

        Raises:
            SemisegError: see :func:`semiseg.runs.checkpoint.save`.
        """
        checkpoint.save(self.last, state, {self.last: self.previous, self.best: self.previous_best})

    def newest(self) -> Found:
        """The state to go on from: that of ``last.pt`` or, where it is damaged or gone, of the one before it.

        Reads only, and finds the same in every process.

        Raises:
            SemisegError: neither can be read.
        """
        try:
            return self._with_best(Found(_state(self.last), self.last))
        except SemisegError as error:
            if not self.previous.is_file():
                raise
            reason = str(error).partition(";")[0]
        found = Found(_state(self.previous), self.previous)
        found.remarks.append(f"{reason}; going on from {self.previous}, of step {found.state['iteration']}")
        return self._with_best(found)

    def _with_best(self, found: Found) -> Found:
        """Whether ``best.pt`` is the one that the state speaks of, or has to be another, or is lost."""
        done, best = found.state["iteration"], found.state["best"][1]
        if best == 0:
            return found
        wrong = _fault(self.best)
        ahead = wrong is None and found.path == self.previous and checkpoint.load(self.best)["iteration"] > done
        if wrong is None and not ahead:
            return found
        if _fault(self.previous_best) is None and best <= checkpoint.load(self.previous_best)["iteration"] <= done:
            found.best = self.previous_best
            return found
        found.state["best"] = [float("-inf"), 0, 0]
        found.remarks.append(
            f"{self.best} of step {best} is lost ({wrong or 'a later one took its place'}): the best of the steps from "
            "here on takes its place"
        )
        return found

    def tidy(self, found: Found | None) -> None:
        """Remove what a killed process left half written; with ``found``, let the files be those it goes on from."""
        for path in self.folder.glob(f"*{PARTIAL}"):
            path.unlink()
        if found is None:
            return
        if found.path == self.previous and self.last.is_file():
            self.last.replace(self.folder / "damaged.pt")  # it must not become the one before the last
        if found.best is not None:
            with replacing(self.best) as partial:
                shutil.copyfile(found.best, partial)


def _state(path: Path) -> dict[str, Any]:
    """A checkpoint that says how far its run came, or an error."""
    state = checkpoint.load(path)
    best = state.get("best")
    if not isinstance(state.get("iteration"), int) or not isinstance(best, (list, tuple)) or len(best) < 2:
        raise SemisegError(f"{path} is no state of a training; a run goes on from last.pt or previous.pt of its own")
    return state


def _fault(path: Path) -> str | None:
    return fault(path) if path.is_file() else "there is no such file"
