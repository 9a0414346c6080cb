"""A process that loads images may be killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from semiseg.data.loading import PositionedCrops, batches
from semiseg.errors import SemisegError
from semiseg.training.workers import RESTARTS, restarted


class Numbers(PositionedCrops):
    """Crop 5 ends its worker once."""

    seed = 0

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __getitem__(self, position: int) -> dict[str, Any]:
        if position == 5 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"position": torch.tensor(position)}


def test_others_take_the_place_of_a_killed_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = Numbers(tmp_path / "mark")
    found = list(restarted(lambda start: batches(numbers, 2, start, 6, workers=1), 1))
    assert [batch["position"].tolist() for batch in found] == [[2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]
    assert "was killed" in capsys.readouterr().err


class Failing(PositionedCrops):
    """Crop 5 cannot be computed."""

    seed = 0

    def __init__(self, kind: type[Exception]) -> None:
        self.kind = kind

    def __getitem__(self, position: int) -> dict[str, Any]:
        if position == 5:
            raise self.kind("shapes do not match")
        return {"position": torch.tensor(position)}


@pytest.mark.parametrize("kind", [RuntimeError, EOFError, ConnectionResetError])
def test_what_an_image_raises_in_a_worker_that_lives_is_no_death(
    kind: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(kind, match=r"Caught .* in DataLoader worker process 0[\s\S]*shapes do not match"):
        list(restarted(lambda start: batches(Failing(kind), 2, start, 6, workers=1), 1))
    assert "was killed" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", [EOFError, ConnectionRefusedError, ConnectionResetError, FileNotFoundError])
def test_a_worker_that_dies_while_its_batch_is_received_is_replaced(
    kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The main process asks the worker for the file descriptor of a batch; here it dies at the first one."""
    from multiprocessing import connection

    asked, deliver = [0], connection.answer_challenge

    def dies_once(*arguments: Any) -> None:
        asked[0] += 1
        if asked[0] == 1:
            raise kind
        deliver(*arguments)

    monkeypatch.setattr(connection, "answer_challenge", dies_once)
    numbers = Numbers(tmp_path / "mark")
    numbers.mark.touch()  # nobody is killed besides
    found = list(restarted(lambda start: batches(numbers, 2, start, 6, workers=1), 1))
    assert [batch["position"].tolist() for batch in found] == [[2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]
    assert asked[0] > 1 and capsys.readouterr().err.count("was killed") == 1


def test_again_and_again_is_one_line_and_other_errors_are_as_they_were() -> None:
    starts: list[int] = []

    def loader(start: int) -> Iterator[dict[str, Any]]:
        starts.append(start)
        yield {"batch": start}
        raise RuntimeError("DataLoader worker (pid 7) exited unexpectedly")

    given = restarted(loader, 3)
    with pytest.raises(SemisegError, match=r"4 times by now: lower data\.workers") as caught:
        list(given)
    assert starts == [3, 4, 5, 6] and RESTARTS == 3 and "\n" not in str(caught.value)

    def fails(start: int) -> Iterator[dict[str, Any]]:
        raise RuntimeError("CUDA error")
        yield {}

    with pytest.raises(RuntimeError, match="CUDA error"):
        list(restarted(fails, 0))
