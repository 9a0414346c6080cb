"""A checkpoint with a changed bit is refused, wherever the bit is."""

from pathlib import Path

import pytest
import torch

from semiseg.errors import SemisegError
from semiseg.runs import checkpoint

STATE = {"weights": torch.arange(300.0), "name": "run"}


@pytest.fixture
def saved(tmp_path: Path) -> bytes:
    checkpoint.save(tmp_path / "a.pt", STATE)
    return (tmp_path / "a.pt").read_bytes()


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(SemisegError, match="is damaged") as caught:
        checkpoint.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def test_every_byte_counts(saved: bytes, tmp_path: Path) -> None:
    for place in (*range(0, len(saved), 7), *range(len(saved) - 110, len(saved))):
        changed = bytearray(saved)
        changed[place] ^= 1 << place % 8
        refused(tmp_path / "changed.pt", bytes(changed))


@pytest.mark.parametrize("length", [1, 22, 79, 500, -1])
def test_a_file_cut_off_is_refused(length: int, saved: bytes, tmp_path: Path) -> None:
    refused(tmp_path / "cut.pt", saved[:length])
    refused(tmp_path / "longer.pt", saved + b"\0")


def test_an_empty_file_is_called_so(tmp_path: Path) -> None:
    assert "it is empty" in refused(tmp_path / "empty.pt", b"")


def test_a_checkpoint_of_an_earlier_version_loads_and_its_weights_are_checked(tmp_path: Path) -> None:
    torch.save(STATE | {"format": 1}, tmp_path / "old.pt")
    assert torch.equal(checkpoint.load(tmp_path / "old.pt")["weights"], STATE["weights"])
    content = bytearray((tmp_path / "old.pt").read_bytes())
    content[content.index(STATE["weights"].numpy().tobytes()) + 500] ^= 4
    assert "checksum is wrong" in refused(tmp_path / "old.pt", bytes(content))


def test_other_programs_read_it(saved: bytes, tmp_path: Path) -> None:
    assert torch.equal(torch.load(tmp_path / "a.pt", weights_only=True)["weights"], STATE["weights"])
