import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny

import semiseg
from semiseg.errors import SemisegError
from semiseg.runs import checkpoint


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code ran')",)


def test_files_that_are_no_checkpoint_are_refused_without_running_their_code(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(pickle.dumps(Harmful()))
    (tmp_path / "b.pt").write_bytes(b"damaged")
    torch.save({"weights": torch.ones(1)}, tmp_path / "c.pt")
    for name in "ab":
        with pytest.raises(SemisegError, match="cannot be read"):
            checkpoint.load(tmp_path / f"{name}.pt")
    with pytest.raises(SemisegError, match="not a semiseg checkpoint"):
        checkpoint.load(tmp_path / "c.pt")
    with pytest.raises(SemisegError, match="no checkpoint"):
        checkpoint.load(tmp_path / "d.pt")


def test_random_states_come_back(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.pt", {"random": checkpoint.random_states()})
    first = random.random(), np.random.rand(), torch.rand(())  # noqa: NPY002
    checkpoint.restore_random_states(checkpoint.load(tmp_path / "a.pt")["random"])
    assert first == (random.random(), np.random.rand(), torch.rand(()))  # noqa: NPY002


def test_save_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.pt", {"x": torch.ones(1)})
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        checkpoint.save(tmp_path / "a.pt", {"x": lambda: 0})
    assert torch.equal(checkpoint.load(tmp_path / "a.pt")["x"], torch.ones(1))


def test_student_and_teacher_load_apart(folder: Path, tmp_path: Path) -> None:
    semiseg.train(tiny(folder, tmp_path / "run"), progress=False)
    state = checkpoint.load(tmp_path / "run" / "checkpoints" / "last.pt")["method"]
    for teacher, prefix in ((False, "student."), (True, "teacher.")):
        network = checkpoint.load_model(tmp_path / "run", "last", teacher).network
        assert not network.training
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, state[prefix + name])
    semiseg.train(tiny(folder, tmp_path / "plain", method__name="supervised"), progress=False)
    with pytest.raises(SemisegError, match="has no teacher"):
        checkpoint.load_model(tmp_path / "plain", teacher=True)
