"""What is said before step 0 when the memory will not do, and when it did not."""

from pathlib import Path

import pytest
import torch
from conftest import tiny

from semiseg import Config, train
from semiseg.cost.step import cost
from semiseg.errors import SemisegError
from semiseg.methods.memory_bank import MemoryBankMethod
from semiseg.training import loop, preflight

SMALL = ["network.backbone=resnet18", "network.pretrained=none", "data.crop=64", "training.batch_size=2"]


def test_a_step_that_does_not_fit_is_named_with_its_mends() -> None:
    config, cpu = Config.parse({}, SMALL), torch.device("cpu")
    need = cost(config, 5).memory_total
    assert preflight.memory_remark(config, 5, cpu, free=need) is None
    remark = preflight.memory_remark(config, 5, cpu, free=need - 1)
    assert remark is not None and "training.passes=in_turn" in remark and "\n" not in remark


def test_main_memory_is_read() -> None:
    free = preflight.free_memory(torch.device("cpu"))
    assert free is not None and 2**28 < free < 2**50


def test_training_says_it_before_the_first_step(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preflight, "free_memory", lambda device: 1000)
    train(tiny(folder, tmp_path / "run"), progress=False)
    assert "will probably run out of memory" in capsys.readouterr().err


def test_running_out_of_memory_is_one_line_with_the_mend(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(loop, "memory_remark", lambda *_: None)
    monkeypatch.setattr(MemoryBankMethod, "losses", full)
    with pytest.raises(SemisegError, match=r"out of memory on cpu at iteration 0: try training\.passes=in_turn"):
        train(tiny(folder, tmp_path / "run"), progress=False)
