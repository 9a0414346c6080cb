import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import HANGS, tiny, write_picture

import semiseg
from semiseg.errors import SemisegError, UsageError
from semiseg.methods import Step
from semiseg.methods.memory_bank import MemoryBankMethod
from semiseg.runs import checkpoint
from semiseg.runs.metrics import read_metrics
from semiseg.runtime.device import resolve_device
from semiseg.training.loop import Run
from semiseg.training.optimisers import learning_rate_factor
from semiseg.training.step import iteration_generator
from semiseg.training.validating import Validator


def same(a: Any, b: Any) -> bool:
    """Bit-equal, through dicts and lists."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def last(run_dir: Path) -> dict[str, Any]:
    state = checkpoint.load(run_dir / "checkpoints" / "last.pt")
    return {key: state[key] for key in ("iteration", "method", "optimisers", "best")}


def losses(run_dir: Path) -> list[dict[str, Any]]:
    timed = ("images_per_second", "data_wait", "seconds")
    return [{k: v for k, v in row.items() if k not in timed} for row in read_metrics(run_dir)]


def test_a_run_leaves_everything_the_design_names(folder: Path, tmp_path: Path) -> None:
    result = semiseg.train(tiny(folder, tmp_path / "run", training__tensorboard="true"), progress=False)
    made = {str(p.relative_to(tmp_path / "run")) for p in (tmp_path / "run").rglob("*") if p.is_file()}
    assert {"config.yaml", "metrics.jsonl", "labelled.txt", "evaluation.json"} <= made
    assert {"checkpoints/last.pt", "checkpoints/best.pt"} <= made
    assert any(name.startswith("tensorboard/") for name in made)
    summary = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert summary["last"]["miou"] * 100 == pytest.approx(result.last_miou)
    assert {"last", "best", "last_teacher", "best_iteration", "iterations", "labelled"} <= set(summary)
    assert summary["labelled"] == 4 and summary["iterations"] == 4
    assert len((tmp_path / "run" / "labelled.txt").read_text().split()) == 4
    assert semiseg.Config.load(tmp_path / "run" / "config.yaml").training.iterations == 4
    assert [row["iteration"] for row in read_metrics(tmp_path / "run") if row["kind"] == "train"] == [1, 2, 3, 4]


@pytest.mark.parametrize("method", ["supervised", "memory_bank"])
def test_stopped_and_resumed_is_bit_equal(
    folder: Path, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    semiseg.train(tiny(folder, tmp_path / "whole", method__name=method), progress=False)
    run = Run(tiny(folder, tmp_path / "broken", method__name=method))
    losses_of = run.method.losses

    def fails(step: Step) -> Any:
        if step.iteration == 3:
            raise RuntimeError("power cut")
        return losses_of(step)

    monkeypatch.setattr(run.method, "losses", fails)
    with pytest.raises(RuntimeError, match="power cut"):
        run.train(progress=False)
    assert last(tmp_path / "broken")["iteration"] == 2
    torch.rand(7)  # the global generator stands elsewhere now
    semiseg.train(tiny(folder, tmp_path / "broken", method__name=method, data__workers=1), resume=True, progress=False)
    assert same(last(tmp_path / "whole"), last(tmp_path / "broken"))
    assert losses(tmp_path / "whole") == losses(tmp_path / "broken")


def test_killed_and_resumed_is_bit_equal(folder: Path, tmp_path: Path) -> None:
    """The real thing: SIGKILL, in another process, at whatever point it has reached."""
    changes = {"network__backbone": "resnet18", "training__iterations": 12, "training__validate_every": 12}
    semiseg.train(tiny(folder, tmp_path / "whole", **changes), progress=False)
    killed = tiny(folder, tmp_path / "killed", **changes)
    path = tmp_path / "killed.yaml"
    path.write_text(yaml.safe_dump(killed.model_dump(mode="json")))
    command = [sys.executable, "-m", "semiseg", "train", str(path), "--quiet"]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + HANGS
    while not (tmp_path / "killed" / "checkpoints" / "last.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert last(tmp_path / "killed")["iteration"] < 12
    semiseg.train(killed, resume=True, progress=False)
    assert same(last(tmp_path / "whole"), last(tmp_path / "killed"))


def test_a_resume_with_other_images_is_refused(folder: Path, tmp_path: Path) -> None:
    config = tiny(folder, tmp_path / "run", method__name="supervised")
    semiseg.train(config, progress=False)
    write_picture(folder, "late", seed=99, mask=False)
    with pytest.raises(UsageError, match=r"other unlabelled images \(\d+ when it began, \d+ now\).* another run_dir="):
        semiseg.train(config, resume=True, progress=False)
    next((folder / "images").glob("late*")).unlink()
    semiseg.train(config, resume=True, progress=False)


def test_nothing_is_written_over(folder: Path, tmp_path: Path) -> None:
    config = tiny(folder, tmp_path / "run", method__name="supervised")
    semiseg.train(config, progress=False)
    before = last(tmp_path / "run")
    with pytest.raises(UsageError, match="already holds a run; add --resume"):
        semiseg.train(config, progress=False)
    with pytest.raises(UsageError, match=r"training.learning_rate \(was 0.01, now 0.5\)"):
        semiseg.train(
            tiny(folder, tmp_path / "run", method__name="supervised", training__learning_rate=0.5), resume=True
        )
    assert same(before, last(tmp_path / "run"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        semiseg.train(tiny(folder, tmp_path / "other"))


def test_nan_stops_the_run_and_keeps_the_last_good_checkpoint(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = MemoryBankMethod.losses

    def broken(self: MemoryBankMethod, step: Step) -> Any:
        terms = losses(self, step)
        if step.iteration < 3:
            return terms
        return terms | {"loss": terms["loss"] * torch.nan, "pseudo": terms["pseudo"] * torch.nan}

    monkeypatch.setattr(MemoryBankMethod, "losses", broken)
    with pytest.raises(SemisegError, match=r"loss, pseudo, gradients became NaN.*step 4 \(labelled: photo") as caught:
        semiseg.train(tiny(folder, tmp_path / "run"), progress=False)
    assert all(word in str(caught.value) for word in ("; unlabelled: photo", "last.pt", "learning_rate"))
    state = last(tmp_path / "run")
    assert state["iteration"] == 2
    assert all(torch.isfinite(v).all() for v in state["method"].values() if v.is_floating_point())


def test_a_bad_gradient_on_a_step_that_saves_never_reaches_the_checkpoint(folder: Path, tmp_path: Path) -> None:
    run = Run(tiny(folder, tmp_path / "run", method__name="supervised"))
    weight = next(run.method.student.parameters())
    hook = weight.register_hook(lambda gradient: gradient * (torch.nan if run.iteration == 3 else 1))
    with pytest.raises(SemisegError, match=r"gradients became NaN or infinite in step 4 \(labelled: photo"):
        run.train(progress=False)
    hook.remove()
    assert last(tmp_path / "run")["iteration"] == 2


def test_mask_values_outside_the_classes_stop_before_the_first_step(folder: Path, tmp_path: Path) -> None:
    (folder / "dataset.yaml").write_text("classes: [a, b]\n")
    with pytest.raises(SemisegError, match=r"photo\d\d.*values 2 outside the classes"):
        semiseg.train(tiny(folder, tmp_path / "run"), progress=False)
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"training__accumulation": 2, "training__gradient_clip": 1},
        {"training__plateau_patience": 1, "training__validate_every": 1},
        {"training__batch_norm_refresh": 2},
        {"evaluation__mode": "sliding", "data__resize": "[48, 48]"},
        {"data__labelled": 2, "data__split_seed": 3, "training__unlabelled_ratio": 2},
    ],
)
def test_options_run(folder: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    result = semiseg.train(tiny(folder, tmp_path / "run", **changes), progress=False)
    assert 0 <= result.last_miou <= result.best_miou <= 100


def test_poly_schedule_by_hand() -> None:
    assert learning_rate_factor(0, 100, 0.9) == 1
    assert learning_rate_factor(50, 100, 0.9) == pytest.approx(0.535887, abs=1e-6)
    assert learning_rate_factor(0, 100, 1.0, warmup=0.1) == pytest.approx(0.1)
    assert learning_rate_factor(20, 100, 1.0, warmup=0.1) == pytest.approx(0.8)


def test_augmentation_generator_is_a_function_of_seed_and_step() -> None:
    def draw(seed: int, step: int) -> float:
        return torch.rand((), generator=iteration_generator(seed, step)).item()

    assert draw(1, 5) == draw(1, 5)
    assert len({draw(seed, step) for seed in range(3) for step in range(3)}) == 9


def test_unknown_device() -> None:
    with pytest.raises(UsageError, match="is no device"):
        resolve_device("gpu9")


@pytest.mark.parametrize("name", ["meta", "vulkan", "ipu", "hpu"])
def test_devices_that_are_not_here_are_one_line(name: str) -> None:
    with pytest.raises(UsageError, match=f"device {name}: PyTorch cannot compute on one here; use auto or cpu"):
        resolve_device(name)


def test_a_gpu_beyond_the_last_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1").index == 1
    with pytest.raises(UsageError, match="device cuda:2: PyTorch finds 2 CUDA devices, from cuda:0 on"):
        resolve_device("cuda:2")


def test_the_time_of_a_run_counts_all_its_parts(folder: Path, tmp_path: Path) -> None:
    config = tiny(folder, tmp_path / "run", method__name="supervised")
    assert 0 < semiseg.train(config, progress=False).seconds < 900
    path = tmp_path / "run" / "checkpoints" / "last.pt"
    state = checkpoint.load(path)
    assert 0 < state["seconds"] < 900
    checkpoint.save(path, state | {"seconds": 1000.0})
    assert 1000 < semiseg.train(config, resume=True, progress=False).seconds < 1900
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["seconds"] >= 1000


def test_best_is_never_ahead_of_last(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resume that reloads best.pt would otherwise take weights of a future that it has not come to yet."""
    rising = iter(range(1, 9))
    real = Validator.validate

    def validate(self: Validator, *words: Any) -> float:
        self.miou = -1.0 if next(rising) <= 2 else 100.0
        return real(self, *words)

    monkeypatch.setattr(Validator, "validate", validate)
    config = tiny(folder, tmp_path / "run", training__validate_every=1, training__checkpoint_every=4)
    run = Run(config)
    losses_of = run.method.losses

    def fails(step: Step) -> Any:
        if step.iteration == 3:
            raise RuntimeError("power cut")
        return losses_of(step)

    monkeypatch.setattr(run.method, "losses", fails)
    with pytest.raises(RuntimeError, match="power cut"):
        run.train(progress=False)
    best, newest = (checkpoint.load(run.run_dir / "checkpoints" / f"{name}.pt") for name in ("best", "last"))
    assert best["iteration"] == newest["best"][1] == 2 and newest["iteration"] == 3


def test_a_resume_reads_its_checkpoint_once_and_into_main_memory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(folder, tmp_path / "run")
    semiseg.train(config, progress=False)
    read: list[tuple[Path, str]] = []
    load = checkpoint.load
    monkeypatch.setattr(checkpoint, "load", lambda path, device="cpu": read.append((path, str(device))) or load(path))
    Run(config, resume=True)
    assert read == [(tmp_path / "run" / "checkpoints" / "last.pt", "cpu")]
