"""Two gloo processes give what one process gives with the joint batch, in float64."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import HANGS, tiny
from together import start_together

from semiseg import evaluate, train
from semiseg.errors import UsageError
from semiseg.runs import checkpoint
from semiseg.runs.metrics import read_metrics
from semiseg.runtime import distributed
from semiseg.training.batches import share_of_batch
from semiseg.training.lock import RunLock

TESTS = Path(__file__).parents[1]
COMMON = ["network.architecture=deeplabv2", "network.batch_norm=frozen", "training.iterations=8", "method.warmup=0.125",
          "method.contrastive.bank_size=6", "method.contrastive.quality_filter=false"]  # fmt: skip
VARIANTS = {
    "memory_bank": [],
    "reference": ["method.contrastive.bank_scope=batch", "method.loss.divisor=weights",
                  "method.loss.entropy_valid_only=true", "method.contrastive.separate=true"],
    # Two steps that fill the bank before the heads learn, one that trains them.
    "warmup": ["method.warmup=0.375", "method.contrastive.effective_weight=0.5"],
    "negatives": ["method.memory_bank.contrastive.negatives=true"],
    "mean_teacher": ["method.name=mean_teacher"],
}  # fmt: skip


def run(output: Path, world: int, words: list[str]) -> list[list[dict[str, Any]]]:
    """What each process found for each configuration."""
    start_together("distributed_worker.py", output, *words, world=world)
    return [torch.load(f"{output}.{rank}", weights_only=True) for rank in range(world)]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
    """By variant: what one process finds, and what each of two does."""
    folder = tmp_path_factory.mktemp("joint")
    words: list[str] = []
    for variant in VARIANTS.values():
        words += [*(["--"] if words else []), *COMMON, *variant]
    (alone,) = run(folder / "one", 1, words)
    pair = run(folder / "two", 2, words)
    return {name: (alone[i], [rank[i] for rank in pair]) for i, name in enumerate(VARIANTS)}


@pytest.mark.parametrize("name", VARIANTS)
def test_two_processes_are_one_with_the_joint_batch(
    name: str, found: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]
) -> None:
    alone, pair = found[name]
    assert [rank["smallest"] for rank in pair] == [7, 7]
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


def torchrun(world: int, *words: str, **options: Any) -> subprocess.Popen[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}", "--max-restarts=0"]
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "semiseg", *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def configured(folder: Path, run_dir: Path, iterations: int) -> Path:
    path = folder.parent / "run.yaml"
    tiny(folder, run_dir, network__backbone="resnet18", training__iterations=iterations,
         training__validate_every=iterations, training__checkpoint_every=2).save(path)  # fmt: skip
    return path


def test_the_commands_share_their_work_and_a_killed_process_ends_the_job(folder: Path, tmp_path: Path) -> None:
    run_dir, last = tmp_path / "run", tmp_path / "run" / "checkpoints" / "last.pt"
    config = str(configured(folder, run_dir, 400))
    job = torchrun(2, "train", config)
    deadline = time.monotonic() + HANGS
    while not last.exists():
        assert job.poll() is None and time.monotonic() < deadline, job.communicate()[1]
        time.sleep(0.2)
    children = subprocess.run(["pgrep", "-P", str(job.pid)], capture_output=True, text=True, check=True).stdout.split()
    os.kill(int(children[-1]), signal.SIGKILL)
    _, error = job.communicate(timeout=HANGS)
    assert job.returncode != 0
    ours = [line for line in error.splitlines() if line.startswith("semiseg:") and "validation image" not in line]
    ours = [line for line in ours if "SIGTERM" not in line]  # torchrun may have asked the other one to end meanwhile
    assert len(ours) == 1 and "--auto-resume" in ours[0], error

    # On from the last checkpoint with one process: the batch of a step is the same, whoever takes part in it.
    reached = torch.load(last, weights_only=True)["iteration"]
    metrics = (run_dir / "metrics.jsonl").read_text().splitlines()
    assert reached >= 2 and len(metrics) >= reached
    alone = torchrun(1, "train", config, "--resume", "--quiet")
    while not (rows := [row for row in read_metrics(run_dir) if row["iteration"] > reached]):
        assert alone.poll() is None, alone.communicate()[1]
        time.sleep(0.2)
    alone.send_signal(signal.SIGTERM)
    alone.communicate(timeout=HANGS)
    assert all(math.isfinite(row["loss"]) for row in rows if row["kind"] == "train")


def test_a_signal_to_one_process_stops_all_after_the_same_step(folder: Path, tmp_path: Path) -> None:
    run_dir, last = tmp_path / "run", tmp_path / "run" / "checkpoints" / "last.pt"
    launcher = [sys.executable, "-m", "semiseg", "torchrun", "--standalone", "--nproc-per-node=2"]
    words = ["train", str(configured(folder, run_dir, 4000)), "--quiet"]
    job = subprocess.Popen(
        [*launcher, *words], env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + HANGS
    while not last.exists():
        assert job.poll() is None and time.monotonic() < deadline, job.communicate()[1]
        time.sleep(0.2)
    assert json.loads((run_dir / "lock.json").read_text())["pid"] != job.pid
    children = subprocess.run(["pgrep", "-P", str(job.pid)], capture_output=True, text=True, check=True).stdout.split()
    os.kill(int(children[-1]), signal.SIGUSR1)
    _, error = job.communicate(timeout=HANGS)
    assert job.returncode == 128 + signal.SIGUSR1, error
    step = checkpoint.load(last)["iteration"]
    lines = [line for line in error.splitlines() if line.startswith("semiseg:") and "validation image" not in line]
    assert (
        len(lines) == 1
        and "Traceback" not in error
        and f"SIGUSR1 after step {step} of 4000; all of it is saved in {last}" in lines[0]
    ), error
    assert "semiseg torchrun --nproc-per-node 2 train" in lines[0]
    lock = RunLock(run_dir)  # gone, or of a process that is: the launcher may end it before it has tidied up
    lock.acquire()
    lock.release()


def test_evaluate_and_predict_share_the_images(folder: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    train(tiny(folder, run_dir, network__backbone="resnet18", method__name="supervised"), progress=False)
    alone = json.loads((run_dir / "evaluation.json").read_text())["last"]
    job = torchrun(2, "evaluate", str(run_dir), "--json", "--split", "train", "--device", "cpu")
    output, error = job.communicate(timeout=HANGS)
    assert job.returncode == 0, error
    shared = json.loads(output.strip().splitlines()[-1])
    whole = evaluate(run_dir, "train", device="cpu")
    assert shared["images"] == whole.images == 4 and shared["confusion"] == whole.confusion.tolist()
    assert alone["images"] == 1
    job = torchrun(2, "predict", str(run_dir), str(folder / "images"), "--output", str(tmp_path / "out"))
    output, error = job.communicate(timeout=HANGS)
    assert job.returncode == 0, error
    assert "12 images segmented" in output and len(list((tmp_path / "out" / "masks").iterdir())) == 12
    table = (tmp_path / "out" / "shares.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in table[1:]] == [
        str(path) for path in sorted((folder / "images").iterdir())
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["masks", "overlays", "shares.csv"]
