"""``method.stages``: a supervised stage, annealed, then the method's own training from its weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny

from semiseg import Config
from semiseg.data.loading import CropDataset
from semiseg.errors import UsageError
from semiseg.methods import Method, Step, method_class, method_names
from semiseg.methods.base import Round
from semiseg.methods.mean_teacher import MeanTeacher
from semiseg.runs import checkpoint
from semiseg.runs.metrics import read_metrics
from semiseg.training.loop import Run
from semiseg.training.optimisers import learning_rate_factor
from semiseg.training.preflight import stages_remark

TWO_STAGES = [name for name in method_names() if method_class(name).needs.unlabelled]
FIRST, ALL = 2, 6  # steps of the first stage and of the run


def staged(folder: Path, run_dir: Path, **changes: Any) -> Config:
    given = {
        "method__stages": FIRST / ALL, "training__iterations": ALL, "training__validate_every": ALL,
        "method__profile": "equal",
    } | changes  # fmt: skip
    return tiny(folder, run_dir, **given)


def stopped_before(run: Run, iteration: int) -> Run:
    """Train up to a step of the run that is never taken."""
    set_rates = run.optimisers.set_rates

    def fails(now_at: int, now: Round) -> None:
        if now_at == iteration:
            raise RuntimeError("power cut")
        set_rates(now_at, now)

    run.optimisers.set_rates = fails  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="power cut"):
        run.train(progress=False)
    return run


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def rows(run_dir: Path, kind: str = "train") -> list[dict[str, Any]]:
    timed = ("images_per_second", "data_wait", "seconds")
    return [{k: v for k, v in row.items() if k not in timed} for row in read_metrics(run_dir) if row["kind"] == kind]


@pytest.mark.parametrize("name", TWO_STAGES)
def test_the_first_stage_is_a_supervised_run_bit_for_bit(name: str, folder: Path, tmp_path: Path) -> None:
    # With these two the warm-up matters, which must be that of the stage: 1 step of 4, not 3 of 12.
    words = {"method__class_balance__after_warmup": True, "method__augment__classmix_after_warmup": True,
             "method__augment__weak": "reference", "method__profile": "equal"}  # fmt: skip
    alone = Run(tiny(folder, tmp_path / "alone", method__name="supervised", **words))
    alone.train(progress=False)
    words |= {"method__stages": 0.25, "training__iterations": 16, "training__checkpoint_every": 16}
    run = stopped_before(Run(staged(folder, tmp_path / "run", method__name=name, **words)), 5)
    state = checkpoint.load(tmp_path / "run" / "checkpoints" / "best.pt")  # of the border, which is validated
    assert state["iteration"] == 4
    ours = {key: value for key, value in state["method"].items() if key.startswith(("student.", "counts."))}
    assert equal(ours, dict(alone.method.state_dict()))
    alike = len(run.method.learners()) == 1  # the losses of several are added up
    shared = ("iteration", "learning_rate", *(("loss", "supervised") if alike else ()))
    one, two = ([tuple(row[key] for key in shared) for row in rows(tmp_path / n)[:4]] for n in ("alone", "run"))
    assert one == two
    rest = {*run.method.terms, *run.method.watched} - {"supervised"}
    assert all(row[key] == 0 for row in rows(tmp_path / "run")[:4] for key in rest)


def test_the_method_counts_from_the_second_stage(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(staged(folder, tmp_path / "run", method__name="mean_teacher", method__warmup=0.5))
    assert run.method.first_stage == FIRST and run.rounds == [Round(0, FIRST, supervised=True), Round(FIRST, ALL)]
    seen: list[tuple[int, int, int]] = []
    moved: list[tuple[int, float]] = []
    losses, after_step = run.method.losses, run.method.after_step

    def watched(step: Step) -> Any:
        assert step.unlabelled is not None
        if not seen:
            assert equal(dict(run.method.teacher.state_dict()), dict(run.method.student.state_dict()))
            assert not run.optimisers.by_name["main"].state, "the optimisers start anew"
        seen.append((step.iteration, run.method.iterations, run.method.warmup))
        return losses(step)

    def watched_after(step: Step) -> None:
        moved.append((step.iteration, run.method.tau(step.iteration)))
        after_step(step)

    monkeypatch.setattr(run.method, "losses", watched)
    monkeypatch.setattr(run.method, "after_step", watched_after)
    run.train(progress=False)
    assert seen == [(i, ALL - FIRST, 2) for i in range(ALL - FIRST)]
    assert moved[0] == (0, 0.995) and len(moved) == ALL - FIRST
    written = rows(tmp_path / "run")
    assert [row["iteration"] for row in written] == list(range(1, ALL + 1)), "the log counts steps of the run"
    power, rate = run.config.training.poly_power, run.config.training.learning_rate
    steps = [(i, FIRST) for i in range(FIRST)] + [(i, ALL - FIRST) for i in range(ALL - FIRST)]
    factors = [learning_rate_factor(i, total, power) for i, total in steps]
    assert [row["learning_rate"] for row in written] == pytest.approx([rate * factor for factor in factors])
    assert [row["iteration"] for row in rows(tmp_path / "run", "validation")] == [FIRST, ALL]


def test_the_first_stage_costs_what_supervised_costs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    init = CropDataset.__init__

    def watched(self: CropDataset, *words: Any, **more: Any) -> None:
        opened.append(words[4])
        init(self, *words, **more)

    monkeypatch.setattr(CropDataset, "__init__", watched)
    run = Run(staged(folder, tmp_path / "run", training__checkpoint_every=ALL))
    passed: list[int] = []
    handles = [m.register_forward_pre_hook(lambda *_: passed.append(run.iteration))
               for m in (run.method.teacher, run.method.contrast.projection)]  # fmt: skip
    run.validator.watched = []  # a validation looks at the teacher
    stopped_before(run, FIRST)
    assert opened == ["labelled", "labelled", "unlabelled"], "the unlabelled crops are those of the second stage"
    assert passed == []
    assert all(p.grad is None for p in run.method.contrast.parameters())
    for handle in handles:
        handle.remove()


def test_draws_of_the_two_stages_are_different_ones(folder: Path, tmp_path: Path) -> None:
    run = Run(staged(folder, tmp_path / "run", method__name="mean_teacher", training__accumulation=2))
    seeds: list[int] = []
    run.stepper.module.register_forward_pre_hook(lambda module, given: seeds.append(given[0].draws.initial_seed()))
    run.train(progress=False)
    assert len(set(seeds)) == len(seeds) == 2 * ALL


@pytest.mark.parametrize("stop", [1, FIRST, ALL - 2])
def test_stopped_anywhere_and_resumed_is_bit_equal(stop: int, folder: Path, tmp_path: Path) -> None:
    words = {"training__checkpoint_every": 1, "training__optimizer": "adamw"}
    Run(staged(folder, tmp_path / "whole", **words)).train(progress=False)
    config = staged(folder, tmp_path / "broken", **words)
    stopped_before(Run(config), stop)
    torch.rand(7)  # the global generator stands elsewhere now
    run = Run(config, resume=True)
    assert run.iteration == stop
    run.train(progress=False)
    one, two = (checkpoint.load(tmp_path / name / "checkpoints" / "last.pt") for name in ("whole", "broken"))
    assert equal(one["method"], two["method"]) and one["best"] == two["best"]
    torch.testing.assert_close(one["optimisers"], two["optimisers"], rtol=0, atol=0)
    for kind in ("train", "validation", "pseudo_labels"):
        assert rows(tmp_path / "whole", kind) == rows(tmp_path / "broken", kind)


def test_a_checkpoint_of_the_first_stage_has_a_teacher_of_use(folder: Path, tmp_path: Path) -> None:
    config = staged(folder, tmp_path / "run", method__stages=0.5, training__checkpoint_every=1)
    stopped_before(Run(config), 2)  # before the border
    state = checkpoint.load(tmp_path / "run" / "checkpoints" / "last.pt")["method"]
    student, teacher = (
        {key.removeprefix(part): value for key, value in state.items() if key.startswith(part)}
        for part in ("student.", "teacher.")
    )
    assert equal(student, teacher)


def test_the_border_is_no_plateau_and_patience_begins_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = staged(folder, tmp_path / "run", method__name="mean_teacher", training__validate_every=1,
                    training__plateau_patience=1)  # fmt: skip
    run = Run(config)
    run.validator.miou = 100.0  # no validation is the best
    loaded: list[int] = []
    monkeypatch.setattr(
        checkpoint, "load", lambda *_: loaded.append(run.iteration) or {"method": run.method.state_dict()}
    )
    stopped_before(run, ALL - 1)
    assert loaded == [1, 3, 4, 5]


def test_a_method_may_begin_with_a_supervised_round_of_its_own(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MeanTeacher, "rounds", lambda self, n: [Round(0, n // 2, supervised=True), Round(n // 2, n)])
    begun: list[int] = []

    def begin_round(self: Method, number: int, survey: Any) -> None:
        assert equal(dict(self.teacher.state_dict()), dict(self.student.state_dict()))
        begun.append(number)

    monkeypatch.setattr(MeanTeacher, "begin_round", begin_round)
    run = Run(staged(folder, tmp_path / "run", method__name="mean_teacher", method__warmup=0))
    assert run.rounds == [Round(0, 2, supervised=True), Round(2, 4, supervised=True), Round(4, 6)]
    run.train(progress=False)
    assert begun == [1]
    assert [row["pseudo"] > 0 for row in rows(tmp_path / "run")] == [False] * 4 + [True] * 2


def test_rounds_of_a_method_with_a_gap_are_still_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MeanTeacher, "rounds", lambda self, n: [Round(0, n - 1)])
    with pytest.raises(ValueError, match="must follow one another from 0 to 4"):
        Run(staged(folder, tmp_path / "run", method__name="mean_teacher"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"method__name": "supervised"}, "supervised trains on the labelled images alone all along"),
        ({"method__stages": 0.01}, "with training.iterations=6: it is no more than half a step"),
        ({"method__stages": 0.9, "training__iterations": 1}, "=1: the method needs the only step itself"),
        ({"method__stages": 0}, None),
        ({}, None),
    ],
)
def test_stages_without_effect_are_one_remark(
    words: dict[str, Any], said: str | None, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = staged(folder, tmp_path / "run", **words)
    run = Run(config)
    err = capsys.readouterr().err
    assert err.count("has no effect") == (said is not None) and (said or "") in err
    assert (stages_remark(config) is None) == (said is None)
    assert len(run.rounds) == (2 if said is None and config.method.stages else 1)


def test_a_share_of_nearly_all_leaves_the_method_a_step_and_all_is_refused(folder: Path, tmp_path: Path) -> None:
    assert Run(staged(folder, tmp_path / "run", method__stages=0.999)).method.first_stage == ALL - 1
    with pytest.raises(UsageError, match=r"method\.stages"):
        staged(folder, tmp_path / "run", method__stages=1)


def test_a_run_that_began_with_other_stages_is_not_gone_on_with(folder: Path, tmp_path: Path) -> None:
    stopped_before(Run(staged(folder, tmp_path / "run")), 3)
    with pytest.raises(UsageError, match=r"method\.stages \(was 0\.33\d*, now 0\.0\)"):
        Run(staged(folder, tmp_path / "run", method__stages=0), resume=True)
