"""A training that is killed again and again ends, bit for bit, as one that nobody disturbed.

    OMP_NUM_THREADS=1 python benchmarks/kills.py --minutes 8

Each trial trains a small network from the beginning and ends it, without warning, a number of times: by SIGKILL at a
random moment, or shortly after a random file operation in the run folder, so that files are cut off in the midst of
being written. Every time it is resumed. At the end weights, teacher, bank, optimisers, the best checkpoint,
``metrics.jsonl`` (but for times) and ``evaluation.json`` must equal those of the undisturbed run, and nothing half
written may be left. The loop sees everything that can go wrong between two steps: a checkpoint every three steps and
after a hundredth of a minute, validations, a first stage, plateaus that load the best weights again, and renewed
statistics at the end. Each trial has a seed of its own.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import os
import random
import shlex
import signal
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import semiseg
from semiseg import Config
from semiseg.networks.backbones.base import Backbone
from semiseg.networks.build import BACKBONES
from semiseg.runs import checkpoint
from semiseg.runs.kept import Kept
from semiseg.runs.metrics import read_metrics
from semiseg.runtime.version import machine, versions

RESULTS = Path(__file__).parent / "results" / "kills.json"
FILE_EVENTS = {"open", "os.rename", "os.link", "os.remove"}
TIMED = {"images_per_second", "data_wait", "seconds"}
MOST = 40  # kills of one trial; then it may end
WORDS = [
    "data.dataset=folder", "data.crop=32", "data.workers=0", "network.architecture=deeplabv3plus",
    "network.backbone=tiny", "network.pretrained=none", "network.decoder_channels=8", "method.warmup=0.1",
    "method.stages=0.2", "method.contrastive.quality_threshold=0.1", "method.contrastive.bank_size=8",
    "method.contrastive.dim=8", "training.iterations=30", "training.batch_size=2", "training.learning_rate=0.01",
    "training.log_every=2", "training.validate_every=5", "training.checkpoint_every=3", "training.save_minutes=0.01",
    "training.plateau_patience=1", "training.batch_norm_refresh=2", "training.device=cpu",
    "training.tensorboard=false",
]  # fmt: skip


class Tiny(Backbone):
    """Four convolutions."""

    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    channels, strides = (4, 6, 8, 10), (2, 4, 8, 16)

    def __init__(self, output_stride: int) -> None:
        super().__init__()
        widths = (3, *self.channels)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in pairwise(widths)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x := layer(x) for layer in self.layers]

    def stem_parameters(self) -> list[nn.Parameter]:
        return list(self.layers[0].parameters())


def write_images(folder: Path) -> None:
    """Twelve images of noisy stripes in three classes; five have masks."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(12):
        rng = np.random.default_rng(number)
        mask = np.digitize(np.arange(64), np.sort(rng.integers(8, 56, 2)))[None].repeat(64, 0).astype(np.uint8)
        image = np.array([[200, 40, 40], [40, 180, 60], [50, 60, 200]])[mask] + rng.integers(-60, 60, (64, 64, 3))
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{number:02d}.png")
        if number < 5:
            Image.fromarray(mask).save(folder / "masks" / f"{number:02d}.png")


def train(config: Config, seed: int | None, seconds: float) -> None:
    """Train in a process of its own; with a ``seed``, end it at a random moment or after a random file operation."""
    if seed is not None:
        draws = random.Random(seed)
        if draws.random() < 0.5:
            signal.setitimer(signal.ITIMER_REAL, draws.uniform(0.001, seconds))
        else:
            left = [draws.randrange(1, 60)]
            delay = draws.choice([0.0, draws.uniform(0, 0.003)])

            def count(event: str, arguments: tuple[Any, ...]) -> None:
                if event in FILE_EVENTS and config.run_dir in str(arguments[0]):
                    left[0] -= 1
                    if left[0] == 0 and delay == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    elif left[0] == 0:
                        signal.setitimer(signal.ITIMER_REAL, delay)

            sys.addaudithook(count)
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - remarks, for the life of this process
    semiseg.train(config, resume="auto", progress=False)


def outcome(run_dir: Path) -> dict[str, Any]:
    """What must be equal."""
    kept = Kept(run_dir)
    last, best = checkpoint.load(kept.last), checkpoint.load(kept.best)
    last["random"] = last["random"]["torch"]  # no draw of a run is Python's or NumPy's, which nobody seeds
    evaluation = json.loads((run_dir / "evaluation.json").read_text())
    return {
        "last.pt": {key: value for key, value in last.items() if key not in ("seconds", "config")},
        "best.pt": {key: value for key, value in best.items() if key not in ("seconds", "config")},
        "metrics.jsonl": [{k: v for k, v in row.items() if k not in TIMED} for row in read_metrics(run_dir)],
        "evaluation.json": {key: value for key, value in evaluation.items() if key not in ("seconds", "peak_memory")},
        "left over": sorted(path.name for path in run_dir.rglob("*") if path.suffix == ".partial"),
        "lock": (run_dir / "lock.json").exists(),
    }


def same(a: Any, b: Any) -> bool:
    """Bit-equal, through dictionaries and lists."""
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b) or (a != a and b != b)


def started(config: Config, seed: int | None, seconds: float) -> int | None:
    """The exit code of a training in a process of its own: negative where it was killed."""
    process = multiprocessing.get_context("fork").Process(target=train, args=(config, seed, seconds))
    process.start()
    process.join()
    return process.exitcode


def trial(config: Config, seed: int, seconds: float) -> tuple[Counter[str], int]:
    """Kill a training until it ends by itself; how often it was killed, by the step of the checkpoint it had reached.

    Raises:
        RuntimeError: a resume failed.
    """
    steps: Counter[str] = Counter()
    kills, run_dir = 0, Path(config.run_dir)
    while True:
        began = time.time()
        code = started(config, seed * 1000 + kills if kills < MOST else None, seconds)
        if code == 0:
            return steps, kills
        if code not in (-signal.SIGKILL, -signal.SIGALRM):
            raise RuntimeError(f"seed {seed}, after {kills} kills: exit code {code}")
        kills += 1
        kept = Kept(run_dir)
        reached = kept.newest().state["iteration"] if kept.any() else None
        place = "before the first checkpoint" if reached is None else f"from step {reached // 10 * 10} on"
        steps[place] += 1
        steps["with a file half written"] += any(path.stat().st_mtime > began for path in run_dir.rglob("*.partial"))


def main() -> None:
    """Trials until the time is over, then the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--seed", type=int, default=0, help="of the first trial")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    first = arguments.seed
    torch.set_num_threads(1)
    BACKBONES["tiny"] = Tiny
    kills, trials, unequal, counts = 0, 0, [], Counter[str]()
    with TemporaryDirectory() as base:
        write_images(Path(base) / "photos")

        def config(name: str) -> Config:
            return Config.parse({}, [*WORDS, f"data.root={base}/photos", f"run_dir={base}/{name}"])

        semiseg.train(config("whole"), progress=False)  # here, so that the others find all libraries loaded
        whole = outcome(Path(base) / "whole")
        assert not whole["left over"] and not whole["lock"]
        began = time.monotonic()
        if started(config("again"), None, 0) != 0 or not same(whole, outcome(Path(base) / "again")):
            raise RuntimeError("an undisturbed run failed, or did not repeat the other")
        seconds = time.monotonic() - began
        while time.monotonic() - began < 60 * arguments.minutes:
            seed = first + trials
            steps, count = trial(config(f"run{seed}"), seed, seconds)
            found = outcome(Path(base) / f"run{seed}")
            wrong = [part for part in whole if not same(whole[part], found[part])]
            unequal += [{"seed": seed, "parts": wrong}] if wrong else []
            trials, kills, counts = trials + 1, kills + count, counts + steps
            print(f"seed {seed}: {count} kills, {'equal' if not wrong else f'unequal: {wrong}'}", flush=True)
    result = {
        "trials": trials, "seeds": [first, first + trials - 1], "kills": kills,
        "unequal": unequal, "kills_by_progress": dict(sorted(counts.items())), "seconds_undisturbed": round(seconds, 1),
        "words": WORDS,
        "command": shlex.join(["python", "benchmarks/kills.py", f"--minutes={arguments.minutes:g}", f"--seed={first}"]),
        "date": datetime.date.today().isoformat(), "machine": machine(), "versions": versions(),
    }  # fmt: skip
    arguments.results.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{kills} kills in {trials} trainings, {len(unequal)} of them unequal")


if __name__ == "__main__":
    main()
