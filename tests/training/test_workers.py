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
