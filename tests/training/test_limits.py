"""What is refused before the first step: what no machine holds, and half precision on a CPU."""

from pathlib import Path

import pytest
import torch
from conftest import tiny

from semiseg import Config
from semiseg.errors import UsageError
from semiseg.training.limits import check_limits, check_precision
from semiseg.training.loop import Run

GB = 10**9


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("data.workers=33", "data.workers=33: this machine has 2 cores"),
        ("training.batch_size=100000", "100000 labelled and 100000 unlabelled crops of 64x64"),
        ("training.unlabelled_ratio=1000", "unlabelled crops"),
        ("data.crop=65536", "65536x65536"),
        ("data.resize=[65536, 65536]", "data.resize="),
        ("data.source.resize=[65536, 65536]", "data.source.resize="),
    ],
)
def test_more_than_the_machine_has(word: str, told: str) -> None:
    words = ["training.batch_size=200", "data.crop=64"]
    check_limits(Config.parse({}, [*words, "data.workers=32"]), GB, 2)
    with pytest.raises(UsageError, match=told):
        check_limits(Config.parse({}, [*words, word]), GB, 2)


def test_supervised_counts_its_own_crops_only() -> None:
    need = 200 * 64 * 64 * 3 * 4
    words = ["training.batch_size=200", "data.crop=64"]
    check_limits(Config.parse({}, [*words, "method.name=supervised"]), need, 2)
    with pytest.raises(UsageError, match="unlabelled crops"):
        check_limits(Config.parse({}, words), need, 2)


def test_half_precision_does_not_reach_a_cpu_by_auto(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = tiny(folder, tmp_path / "run", training__device="auto", training__precision="fp16")
    with pytest.raises(UsageError, match="fp16 is for GPUs"):
        Run(config)
    assert not (tmp_path / "run").exists()
    for precision, device in (("fp16", "cuda"), ("fp16", "mps"), ("bf16", "cpu"), ("fp32", "cpu")):
        check_precision(precision, torch.device(device))
