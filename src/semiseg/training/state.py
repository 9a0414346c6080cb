"""What a checkpoint holds of a run, and a run that goes on from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from semiseg.runs import checkpoint
from semiseg.training import run_folder
from semiseg.training.clock import Clock

if TYPE_CHECKING:
    from semiseg.training.loop import Run


def model_state(run: Run) -> dict[str, Any]:
    """What ``best.pt`` holds: the method, what it was trained on, and where the run stands."""
    info, best = run.data.train.info, run.validator
    return {
        "iteration": run.iteration,
        "method": run.method.state_dict(),
        "config": run.config.model_dump(mode="json"),
        "info": {
            "name": info.name,
            "classes": list(info.classes),
            "colours": [list(c) for c in info.colours],
            "ids": list(info.ids),
        },
        "best": [best.miou, best.iteration, best.stale],
        "seconds": run.clock.seconds,
        "data": run_folder.data_facts(run.data),
    }


def run_state(run: Run) -> dict[str, Any]:
    """What ``last.pt`` holds besides; the same in every process but for the random states."""
    return {
        "optimisers": run.optimisers.state_dict(),
        "scaler": run.stepper.scaler.state_dict(),
        "random": checkpoint.random_states(),
        "losses": run.losses.state_dict(),
        "pending": list(run.pending),
    }


def restore(run: Run, state: dict[str, Any]) -> None:
    """Let a new run stand where ``state`` was saved.

    Raises:
        UsageError: its images are others.
    """
    run_folder.check_same_data(state.get("data", {}), run_folder.data_facts(run.data))  # older files have none
    run.method.load_state_dict(state["method"])
    run.optimisers.load_state_dict(state["optimisers"] if "optimisers" in state else state["optimiser"])
    run.stepper.scaler.load_state_dict(state["scaler"])
    run.validator.miou, run.validator.iteration, run.validator.stale = state["best"]
    run.iteration = state["iteration"]
    run.clock = Clock(state.get("seconds", 0.0))
    if "losses" in state:  # older files have none, and were written after the validation of their step
        run.losses.load_state_dict(state["losses"], run.device)
        run.pending = list(state["pending"])
    checkpoint.restore_random_states(state["random"])
