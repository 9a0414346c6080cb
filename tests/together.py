"""Trainings of several processes against that of one: starting them, and writing down what each step found."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from conftest import HANGS

from semiseg import Config
from semiseg.methods.base.views import NOTHING
from semiseg.training import loop

TESTS = Path(__file__).parent


def start_together(script: str, *words: object, world: int = 2, path: Sequence[Path] = ()) -> None:
    """Run a script of this folder in ``world`` processes that find each other; ``path`` comes first in theirs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, (*path, TESTS, TESTS.parent / "src"))), "OMP_NUM_THREADS": "1",
        "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    workers = [
        subprocess.Popen(
            [sys.executable, str(TESTS / script), *map(str, words)],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(world)
    ]  # fmt: skip
    for worker in workers:
        _, error = worker.communicate(timeout=HANGS)
        assert worker.returncode == 0, error


def recorded(config: Config) -> dict[str, Any]:
    """Gradients of each step of a run in float64 without augmentation, and the state after it."""
    gradients = []
    torch.set_default_dtype(torch.float64)
    try:
        run = loop.Run(config)
        run.method.views.weak_set = run.method.views.strong_set = NOTHING  # each process draws its own
        take = run.optimisers.step

        def watched(*words: Any) -> None:
            gradients.append({n: p.grad.clone() for n, p in run.method.named_parameters() if p.grad is not None})
            take(*words)

        run.optimisers.step = watched  # type: ignore[method-assign]
        run.train(progress=False)
    finally:
        torch.set_default_dtype(torch.float32)
    return {"gradients": gradients, "state": run.method.state_dict()}
