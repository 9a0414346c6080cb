"""One process trains in a run folder; one that is gone is no obstacle."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from semiseg.errors import UsageError
from semiseg.training.lock import RunLock, me, started


def held(run: Path, **changes: Any) -> RunLock:
    run.mkdir()
    (run / "lock.json").write_text(json.dumps(me() | changes))
    return RunLock(run)


def test_a_living_process_keeps_its_folder(tmp_path: Path) -> None:
    other = os.getppid()
    lock = held(tmp_path / "run", pid=other, started=started(other))
    with pytest.raises(UsageError, match=rf"process {other} of this machine trains in .*run; .*kill {other}"):
        lock.acquire()
    lock.release()
    assert json.loads(lock.path.read_text())["pid"] == other, "it is not this process's to give back"


def test_a_process_that_ended_is_taken_over_with_a_remark(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    lock = held(tmp_path / "run", pid=child.pid, started=started(child.pid))
    with pytest.raises(UsageError):
        lock.acquire()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and nobody has asked for its exit code yet
    assert f"process {child.pid}" in str(lock.acquire())
    child.communicate()
    assert json.loads(lock.path.read_text()) == me()


def test_another_process_of_the_same_number_is_another_process(tmp_path: Path) -> None:
    lock = held(tmp_path / "run", pid=os.getppid(), started="an earlier boot 17")
    assert "is taken over" in str(lock.acquire())


def test_of_another_machine_nothing_is_known_and_the_line_says_what_to_do(tmp_path: Path) -> None:
    lock = held(tmp_path / "my run", host="node17", pid=999_999_999)
    with pytest.raises(UsageError) as caught:
        lock.acquire()
    assert "machine node17" in str(caught.value)
    assert str(caught.value).endswith(f"gone: rm '{lock.path}'")


@pytest.mark.parametrize("content", ["", '{"host": "a', "[]", '{"pid": 3}'])
def test_a_file_whose_writer_was_killed_is_nobody_s(tmp_path: Path, content: str) -> None:
    lock = held(tmp_path / "run")
    lock.path.write_text(content)
    assert lock.acquire() is None
    assert json.loads(lock.path.read_text()) == me()


def test_given_back_nothing_is_left(tmp_path: Path) -> None:
    for folder in ("made", "there"):
        lock = RunLock(tmp_path / folder)
        if folder == "there":
            lock.path.parent.mkdir()
        assert lock.acquire() is None and lock.acquire() is None
        lock.release()
        lock.release()
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]
