"""How many times as long as a supervised step one method's step takes, and how many crops it trains on.

Two trainings side by side disturb each other, so that their clocks cannot say it. Here both steps run in turn in one
process on one thread, on the same crops, while no training of the same ``--work`` folder runs.
"""

from __future__ import annotations

import fcntl
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from semiseg import Config
from semiseg.data.run_data import open_run_data
from semiseg.methods import Needs, Step, method_class
from semiseg.networks.build import build_network_of
from semiseg.runs import checkpoint
from semiseg.training.batches import to_batch, training_batches
from semiseg.training.optimisers import Optimisers
from semiseg.training.step import iteration_generator

ROUNDS = 15
UNCOUNTED = 2  # first steps, in which memory is claimed


class TrainingStep:
    """The loop's step on a few crops of the data, over and over: everything but loading.

    Args:
        config: the run.
        state: ``last.pt`` of a finished run of the same method, since what a method gathers while it trains (a memory
            bank, confident pseudo-labels) costs time; None: as training begins.

    Attributes:
        crops: images that passed through the student with a gradient, so far.
    """

    def __init__(self, config: Config, state: Path | None = None) -> None:
        self.config, self.done, self.crops = config, 0, 0
        torch.manual_seed(config.training.seed)
        data = open_run_data(config.data)
        network = build_network_of(config, data.train.info.num_classes)
        self.method = method_class(config.method.name)(config, network, len(data.labelled)).train()
        if state is not None:
            self.method.load_state_dict(checkpoint.load(state)["method"])
        layout = torch.channels_last if config.training.channels_last else torch.contiguous_format
        for network in (*self.method.learners().values(), *(teacher for teacher, _ in self.method.averages())):
            network.to(memory_format=layout)
        self.method.student.register_forward_pre_hook(self._count)
        self.optimisers = Optimisers(self.method)
        self.scaler = torch.amp.GradScaler("cpu", enabled=False)
        needs: Needs = self.method.needs
        loaders = training_batches(config, data, 0, config.training.iterations, needs)
        self.batches = [
            [to_batch(next(loader), torch.device("cpu"), layout) if loader is not None else None for loader in loaders]
            for _ in range(min(3, config.training.iterations))
        ]

    def __call__(self) -> None:
        labelled, unlabelled = self.batches[self.done % len(self.batches)]
        last = self.config.training.iterations - 1  # after every warm-up
        step = Step(labelled, unlabelled, last, iteration_generator(0, self.done))
        self.method.losses(step)["loss"].backward()
        self.optimisers.step(self.scaler, self.config.training.gradient_clip)
        self.method.after_step(step)
        self.done += 1

    def _count(self, _: nn.Module, arguments: tuple[Any, ...]) -> None:
        if torch.is_grad_enabled():
            self.crops += len(arguments[0])


def crops_a_step(config: Config) -> int:
    """Images that one step of the configured method passes through the student: its joint batch."""
    step = TrainingStep(config)
    step()
    return step.crops


def step_times(config: Config, supervised: Config, state: Path | None, rounds: int = ROUNDS) -> dict[str, Any]:
    """Median milliseconds of both steps, one thread, and the median of their ratios in ``rounds`` pairs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        steps = TrainingStep(config, state), TrainingStep(supervised)
        pairs = [[_milliseconds(step) for step in steps] for _ in range(rounds + UNCOUNTED)][UNCOUNTED:]
    finally:
        torch.set_num_threads(threads)
    return {
        "ratio": round(statistics.median(own / base for own, base in pairs), 3),
        "step_ms": round(statistics.median(own for own, _ in pairs), 1),
        "supervised_ms": round(statistics.median(base for _, base in pairs), 1),
        "rounds": rounds,
    }


def _milliseconds(step: TrainingStep) -> float:
    began = time.perf_counter()
    step()
    return 1000 * (time.perf_counter() - began)


@contextmanager
def training(work: Path) -> Iterator[None]:
    """Within it this process trains: others may train beside it, but none measures."""
    with _locked(work / ".machine.lock", fcntl.LOCK_SH, behind=work / ".queue.lock"):
        yield


@contextmanager
def alone(work: Path) -> Iterator[None]:
    """Waits for the trainings of this ``work`` folder to end; new ones wait until it is left."""
    with _locked(work / ".queue.lock", fcntl.LOCK_EX), _locked(work / ".machine.lock", fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(path: Path, kind: int, behind: Path | None = None) -> Iterator[None]:
    """A lock that the system lets go of when the process ends, taken in the queue of ``behind``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        if behind is None:
            fcntl.flock(lock, kind)
        else:
            with _locked(behind, fcntl.LOCK_EX):
                fcntl.flock(lock, kind)
        yield
