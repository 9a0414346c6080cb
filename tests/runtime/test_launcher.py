"""What PyTorch's launcher reports in fifty lines is one."""

import signal
from typing import Any

import pytest
from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from typer.testing import CliRunner

from semiseg.cli import app

WORDS = ["torchrun", "--nproc-per-node", "2", "--standalone", "train", "toy_streets", "--resume"]


def failed(code: int) -> Exception:
    return ChildFailedError("semiseg", {1: ProcessFailure(1, 77, code, "")})


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (failed(1), 1, "semiseg: process 1 failed, so that all ended\n"),
        (failed(-9), 1, "semiseg: process 1 was killed (SIGKILL), so that all ended\n"),
        (failed(2), 2, ""),  # the process has told it
        (failed(143), 143, ""),
        (SignalException("Process 77 got signal: 10", signal.SIGUSR1), 138, ""),
    ],
)
def test_an_end_in_one_line(error: Exception, code: int, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def run(arguments: Any) -> None:
        given.append(arguments)
        raise error

    monkeypatch.setattr(torchrun, "run", run)
    monkeypatch.setattr("logging.disable", lambda level: None)
    done = CliRunner().invoke(app, WORDS)
    assert (done.exit_code, done.stderr) == (code, line)
    assert given[0].nproc_per_node == "2" and given[0].training_script == "semiseg" and given[0].module
    assert given[0].training_script_args == ["train", "toy_streets", "--resume"]
    assert "SIGUSR1" in given[0].signals_to_handle


def test_without_a_command_one_is_asked_for() -> None:
    done = CliRunner().invoke(app, ["torchrun", "--nproc-per-node", "2"])
    assert done.exit_code == 2 and "name a command" in done.stderr
