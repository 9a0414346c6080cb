"""The rounds of a run: which one an iteration belongs to, what begins with it, where its pseudo-labels lie."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from semiseg.config.read import Config
from semiseg.data.run_data import RunData
from semiseg.data.stored_labels import StoredLabels
from semiseg.methods.base import Method, Round
from semiseg.methods.base.stages import start_teachers
from semiseg.methods.base.survey import Survey
from semiseg.runtime import distributed


def of_run(method: Method, iterations: int) -> list[Round]:
    """The rounds of a run: the supervised stage of ``method.stages`` where there is one, then the method's own.

    Raises:
        ValueError: the method's do not follow one another, see :func:`check_rounds`.
    """
    first = method.first_stage
    own = check_rounds(method.rounds(iterations - first), iterations - first)
    moved = [r._replace(start=r.start + first, stop=r.stop + first) for r in own]
    return [Round(0, first, supervised=True), *moved] if first else moved


def check_rounds(rounds: list[Round], iterations: int) -> list[Round]:
    """The rounds, if they follow one another without gaps from 0 to ``iterations``.

    Raises:
        ValueError: they do not: a mistake of the method.
    """
    borders = [0, *(r.stop for r in rounds)]
    if [r.start for r in rounds] != borders[:-1] or borders[-1] != iterations or any(r.start >= r.stop for r in rounds):
        raise ValueError(f"rounds {rounds} must follow one another from 0 to {iterations}")
    return rounds


def number_at(rounds: list[Round], iteration: int) -> int:
    """Which round the step ``iteration`` belongs to; the last one at the end of the run."""
    return next((number for number, r in enumerate(rounds) if iteration < r.stop), len(rounds) - 1)


def own_number(method: Method, number: int) -> int:
    """The method's own number of round ``number`` of the run: -1 in the stage that ``method.stages`` puts first."""
    return number - 1 if method.first_stage else number


def stored_labels(run_dir: Path, number: int) -> StoredLabels:
    """Where the pseudo-labels that the method's round ``number`` trains on lie."""
    return StoredLabels(run_dir / "pseudo_labels" / f"round_{number}")


def begin(
    method: Method, rounds: list[Round], number: int, config: Config, data: RunData, device: torch.device
) -> None:
    """What happens before the first step of round ``number`` of the run, which is not its first.

    After a supervised round the teachers take over what was learnt; then a method with several rounds of its own
    surveys the unlabelled images. A run that stops in between surveys again: its last checkpoint is of the border or
    before it, from which everything follows. Labels that an interrupted survey left are removed first.
    """
    if rounds[number - 1].supervised:
        start_teachers(method)
    if (own := own_number(method, number)) == 0:
        return
    labels = stored_labels(Path(config.run_dir), own)
    if distributed.is_main() and labels.folder.exists():
        shutil.rmtree(labels.folder)
    distributed.barrier()
    with torch.no_grad():
        method.begin_round(own, Survey(config, data, labels, device))
    distributed.barrier()  # all shares are stored before anyone reads
    method.train()
