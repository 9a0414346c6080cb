"""Of two checkpoints one is always whole, and ``best.pt`` is never one of the future."""

import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from semiseg.errors import SemisegError
from semiseg.runs import checkpoint
from semiseg.runs.kept import Kept


def state(step: int, best: int = 0) -> dict[str, Any]:
    return {"iteration": step, "best": [50.0, best, 0], "weights": torch.full((3000,), float(step))}


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """Saved at 2 and 4; the best is of step 2."""
    made = Kept(tmp_path)
    made.save_last(state(2))
    checkpoint.save(made.best, state(2))
    made.save_last(state(4, best=2))
    return made


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()  # a link of another name is another file on a disk, too
    path.write_bytes(content)


def test_the_last_two_are_kept(kept: Kept) -> None:
    assert [checkpoint.load(path)["iteration"] for path in (kept.last, kept.previous)] == [4, 2]
    found = kept.newest()
    assert found.state["iteration"] == 4 and found.remarks == []
    kept.save_last(state(6, best=2))
    assert not list(kept.folder.glob("*.partial"))
    assert [checkpoint.load(path)["iteration"] for path in (kept.last, kept.previous)] == [6, 4]


@pytest.mark.parametrize("how", ["damaged", "empty", "missing"])
def test_the_one_before_takes_the_place_of_a_damaged_one_with_a_remark(kept: Kept, how: str) -> None:
    if how == "damaged":
        damage(kept.last)
    else:
        kept.last.unlink()
    if how == "empty":
        kept.last.touch()
    found = kept.newest()
    assert found.state["iteration"] == 2
    assert len(found.remarks) == 1 and str(kept.last) in found.remarks[0]
    assert f"going on from {kept.previous}, of step 2" in found.remarks[0]
    kept.tidy(found)
    kept.save_last(state(4, best=2))
    assert checkpoint.load(kept.previous)["iteration"] == 2, "a damaged file must not take the place of a whole one"


def test_two_damaged_ones_are_an_error_and_readers_hear_of_the_other(kept: Kept) -> None:
    damage(kept.last)
    with pytest.raises(SemisegError, match=r"last\.pt is damaged.*the one before it is .*previous\.pt"):
        checkpoint.load(kept.last)
    damage(kept.previous)
    with pytest.raises(SemisegError, match=r"previous\.pt is damaged"):
        kept.newest()


def test_going_back_also_goes_back_to_the_best_of_that_time(kept: Kept) -> None:
    checkpoint.save(kept.best, state(4))
    kept.save_last(state(6, best=4))
    checkpoint.save(kept.best, state(6))
    damage(kept.last)
    found = kept.newest()
    kept.tidy(found)
    assert found.state["iteration"] == 4 and checkpoint.load(kept.best)["iteration"] == 4


@pytest.mark.parametrize("how", [damage, Path.unlink])
def test_a_lost_best_is_told_and_begins_anew(kept: Kept, how: Any) -> None:
    kept.previous_best.unlink(missing_ok=True)
    how(kept.best)
    found = kept.newest()
    assert found.state["best"] == [float("-inf"), 0, 0]
    assert "best.pt of step 2 is lost" in found.remarks[0]


def test_what_a_killed_process_left_is_removed(kept: Kept) -> None:
    (kept.folder / "last.pt.partial").write_bytes(b"half")
    kept.tidy(None)
    assert not list(kept.folder.glob("*.partial"))


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Files of more than 4 kB cannot be written."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_one_line_and_keeps_both(kept: Kept, small_disk: None) -> None:
    before = {path.name for path in kept.folder.iterdir()}
    with pytest.raises(
        SemisegError, match=r"last\.pt could not be written \(File too large\).* is kept.*--resume"
    ) as e:
        kept.save_last(state(6))
    assert "\n" not in str(e.value)
    assert {path.name for path in kept.folder.iterdir()} == before
    assert [checkpoint.load(path)["iteration"] for path in (kept.last, kept.previous)] == [4, 2]


@pytest.mark.parametrize("changes", [{"iteration": None}, {"best": None}, {"best": []}, {"iteration": "4"}])
def test_a_file_that_is_whole_but_no_state_is_one_line(kept: Kept, changes: dict[str, Any]) -> None:
    checkpoint.save(kept.last, state(4) | changes)
    kept.previous.unlink(missing_ok=True)
    with pytest.raises(SemisegError, match=r"last\.pt is no state of a training"):
        kept.newest()
