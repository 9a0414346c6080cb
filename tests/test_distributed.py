"""Two gloo processes give what one process gives with the joint batch, in float64."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from semiseg import distributed
from semiseg.errors import UsageError
from semiseg.memory_bank import MemoryBank, shortlist
from semiseg.training.optimisation import share_of_batch

TESTS = Path(__file__).parent
COMMON = ["network.architecture=deeplabv2", "network.batch_norm=frozen", "training.iterations=8", "method.warmup=0.125",
          "method.contrastive.bank_size=6", "method.contrastive.quality_filter=false"]  # fmt: skip
VARIANTS = {
    "memory_bank": [],
    "reference": ["method.contrastive.bank_scope=batch", "method.loss.divisor=weights",
                  "method.loss.entropy_valid_only=true", "method.contrastive.separate=true"],
    "mean_teacher": ["method.name=mean_teacher"],
}  # fmt: skip


def run(output: Path, world: int, words: list[str]) -> list[dict[str, Any]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent / 'src'}", "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    workers = [
        subprocess.Popen(
            [sys.executable, str(TESTS / "distributed_worker.py"), str(output), *words],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    for worker in workers:
        _, error = worker.communicate(timeout=240)
        assert worker.returncode == 0, error
    return [torch.load(f"{output}.{rank}", weights_only=True) for rank in range(world)]


@pytest.mark.parametrize("name", VARIANTS)
def test_two_processes_are_one_with_the_joint_batch(name: str, tmp_path: Path) -> None:
    words = [*COMMON, *VARIANTS[name]]
    (alone,) = run(tmp_path / "one", 1, words)
    pair = run(tmp_path / "two", 2, words)
    for rank in pair:
        for mine, theirs in zip(alone["steps"], rank["steps"], strict=True):
            for loss in ("loss", "supervised", "pseudo", "contrastive", "entropy"):
                if loss in mine["losses"]:
                    assert theirs["losses"][loss] == pytest.approx(mine["losses"][loss], rel=1e-6)
            assert mine["gradients"].keys() == theirs["gradients"].keys()
            for parameter, gradient in mine["gradients"].items():
                torch.testing.assert_close(theirs["gradients"][parameter], gradient, rtol=1e-8, atol=1e-11)
        for key, value in alone["state"].items():
            torch.testing.assert_close(rank["state"][key], value, rtol=1e-8, atol=1e-10)
    if name == "memory_bank":
        assert int(alone["state"]["contrast.bank.counts"].sum()) == 18


def test_a_shortlist_pushes_what_all_rows_would() -> None:
    g = torch.Generator().manual_seed(0)
    for keep in ("highest", "lowest"):
        rows = torch.randn(200, 4, generator=g), torch.randint(-1, 4, (200,), generator=g)
        scores, images = torch.rand(200, generator=g), torch.randint(0, 5, (200,), generator=g)
        whole, short = MemoryBank(3, 4, 7), MemoryBank(3, 4, 7)
        whole.push(*rows, scores, images, 2, keep)
        chosen = shortlist(*rows, scores, images, 2, 3, 5, keep)
        assert len(chosen[0]) == 5 * 3 * 2
        short.push(*chosen, 2, keep)
        assert torch.equal(whole.slots, short.slots) and torch.equal(whole.counts, short.counts)


def test_a_shortlist_is_filled_with_ignored_rows() -> None:
    _, labels, _, _ = shortlist(torch.ones(4, 2), torch.tensor([1, 255, -1, 1]), torch.ones(4), torch.zeros(4), 1, 3, 1)
    assert sorted(labels.tolist()) == [-1, -1, 1]


def test_one_process_needs_no_launcher() -> None:
    values = torch.arange(3.0)
    assert distributed.world() == 1 and distributed.is_main()
    for function in (distributed.total, distributed.mean, distributed.total_with_gradient, distributed.gathered):
        assert function(values) is values
    assert distributed.start(torch.device("cpu")) == torch.device("cpu")


def test_a_batch_that_cannot_be_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "world", lambda: 2)
    assert share_of_batch(4, "training.batch_size") == 2
    with pytest.raises(UsageError, match=r"training\.batch_size=5 cannot be shared evenly by 2 processes"):
        share_of_batch(5, "training.batch_size")
