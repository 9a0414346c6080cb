"""How many times as long as a supervised step one method's step takes.

Two trainings side by side disturb each other, so that their clocks cannot say it. Here both steps run in turn in one
process on one thread, on the same crops, while no training of the same work folder runs. The steps of a first
stage (``method.stages``) are supervised ones and are not timed.
"""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from filelock import FileLock

from semiseg.config.read import Config
from semiseg.runs import checkpoint
from semiseg.training.batches import batches_on_device, training_batches
from semiseg.training.clock import Clock
from semiseg.training.loop import Run

PAIRS = 15
UNCOUNTED = 2  # first steps, in which memory is claimed
QUEUE = ".queue.lock"


class TrainingStep:
    """The loop's step on a few crops of the data, over and over: everything but loading.

    Args:
        config: the run.
        folder: of its own, for what a run writes down at its start.
        state: ``last.pt`` of a finished run of the same method, since what a method gathers while it trains (a memory
            bank, confident pseudo-labels) costs time; None: as training begins.
    """

    def __init__(self, config: Config, folder: Path, state: Path | None = None) -> None:
        run = Run(Config.parse(config.model_dump(mode="json"), [f"run_dir={folder}"]))
        if state is not None:
            run.method.load_state_dict(checkpoint.load(state)["method"])
        run.method.train()
        (self.round,) = run.rounds[1 if run.method.first_stage else 0 :]  # the supervised stage is not the method's
        loaders = training_batches(run.config, run.data, self.round.start, self.round.stop, run.method.needs)
        following = batches_on_device(loaders, run.device, run.layout, Clock())
        self.batches = [following() for _ in range(min(3, self.round.stop - self.round.start))]
        self.stepper, self.done = run.stepper, 0

    def __call__(self) -> None:
        batches = self.batches[self.done % len(self.batches)]
        self.stepper(lambda: batches, self.round.stop - 1, self.round)  # the last step: after every warm-up
        self.done += 1


def step_times(config: Config, supervised: Config, state: Path | None, pairs: int = PAIRS) -> dict[str, Any]:
    """Median milliseconds of both steps, one thread, and the median of their ratios in so many ``pairs``."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with TemporaryDirectory() as folder:
            steps = (
                TrainingStep(config, Path(folder) / "method", state),
                TrainingStep(supervised, Path(folder) / "supervised"),
            )
            times = [[_milliseconds(step) for step in steps] for _ in range(pairs + UNCOUNTED)][UNCOUNTED:]
    finally:
        torch.set_num_threads(threads)
    return {
        "ratio": round(statistics.median(step / base for step, base in times), 3),
        "step_ms": round(statistics.median(step for step, _ in times), 1),
        "supervised_ms": round(statistics.median(base for _, base in times), 1),
        "pairs": pairs,
    }


def _milliseconds(step: TrainingStep) -> float:
    began = time.perf_counter()
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()  # the host is ahead of the device
    return 1000 * (time.perf_counter() - began)


@contextmanager
def training(work: Path) -> Iterator[None]:
    """Within it this process trains: others may train beside it, but none measures."""
    work.mkdir(parents=True, exist_ok=True)
    mine = work / f".training-{uuid.uuid4().hex[:12]}.lock"
    with FileLock(work / QUEUE):
        lock = FileLock(mine)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
        mine.unlink(missing_ok=True)


@contextmanager
def alone(work: Path) -> Iterator[None]:
    """Waits for the trainings of this ``work`` folder to end; new ones wait until it is left."""
    work.mkdir(parents=True, exist_ok=True)
    with FileLock(work / QUEUE):
        for path in sorted(work.glob(".training-*.lock")):
            with FileLock(path):  # the system lets go of one whose process was killed
                path.unlink(missing_ok=True)
        yield
