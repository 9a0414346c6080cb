"""``method.stages`` with methods that have rounds, learners and optimisers of their own, and know nothing of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from own_methods_runs import TERMS, WORDS, assert_same, kept

from semiseg import Config
from semiseg.methods.base import Round
from semiseg.runs.metrics import read_metrics
from semiseg.training.loop import Run

pytestmark = pytest.mark.usefixtures("installed")


def test_a_first_stage_comes_before_the_rounds_of_the_method(images: Path, tmp_path: Path) -> None:
    words = [
        "method.name=two_rounds",
        "method.stages=0.34",
        *WORDS,
        "training.iterations=6",
        "training.checkpoint_every=1",
    ]
    stops: dict[str, int | None] = {"whole": None, "first": 1, "second": 2, "third": 4}
    for name, stop in stops.items():
        run = Run(Config.load(images, [*words, f"run_dir={tmp_path / name}"]))
        assert [(r.start, r.stop, r.supervised) for r in run.rounds] == [(0, 2, True), (2, 4, False), (4, 6, False)]
        if stop is not None:
            run.optimisers.set_rates = stopping(run.optimisers.set_rates, stop)  # type: ignore[method-assign]
            with pytest.raises(RuntimeError, match="power cut"):
                run.train(progress=False)
            run = Run(Config.load(images, [*words, f"run_dir={tmp_path / name}"]), resume=True)
        run.train(progress=False)
        assert_same(kept(tmp_path / "whole"), kept(tmp_path / name))
    rows = [row for row in read_metrics(tmp_path / "whole") if row["kind"] == "train"]
    assert [row["stored"] > 0 for row in rows] == [False] * 4 + [True] * 2
    assert rows[0]["learning_rate"] == rows[2]["learning_rate"] == rows[4]["learning_rate"]
    assert [p.name for p in (tmp_path / "whole" / "pseudo_labels").iterdir()] == ["round_1"]


def stopping(set_rates: Callable[[int, Round], None], stop: int) -> Callable[[int, Round], None]:
    """The same, but for step ``stop``, which is not taken."""

    def fails(iteration: int, now: Round) -> None:
        if iteration == stop:
            raise RuntimeError("power cut")
        set_rates(iteration, now)

    return fails


def test_both_students_learn_in_the_first_stage_and_the_critic_rests(images: Path, tmp_path: Path) -> None:
    for name, moves in (("two_students", True), ("adversary", False)):
        words = [f"method.name={name}", "method.stages=0.5", f"run_dir={tmp_path / name}", *WORDS]
        run = Run(Config.load(images, words))
        other = run.method.second if moves else run.method.critic
        before = [p.detach().clone() for p in other.parameters()]
        run.optimisers.set_rates = stopping(run.optimisers.set_rates, 2)  # type: ignore[method-assign]
        with pytest.raises(RuntimeError, match="power cut"):
            run.train(progress=False)
        moved = [not torch.equal(p, old) for p, old in zip(other.parameters(), before, strict=True)]
        assert all(moved) if moves else not any(moved)
        rows = [row for row in read_metrics(run.run_dir) if row["kind"] == "train"]
        assert all(row[term] == 0 for row in rows for term in TERMS[name][1:]) and len(rows) == 2
