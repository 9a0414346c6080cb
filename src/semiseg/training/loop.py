"""The training loop, the same for every method."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from semiseg import derived
from semiseg.config.read import Config
from semiseg.data.run_data import check_classes, open_run_data
from semiseg.data.splits.lists import write_list
from semiseg.methods.base import Round
from semiseg.methods.base.stages import count_over, start_teachers
from semiseg.runs import checkpoint
from semiseg.runs.begun import data_as_begun
from semiseg.runtime import distributed
from semiseg.runtime.device import resolve_device
from semiseg.training import label_record, rounds, run_folder
from semiseg.training.batches import batches_on_device, training_batches
from semiseg.training.building import build_method, layout, networks
from semiseg.training.clock import Clock
from semiseg.training.failures import check_finite, explained
from semiseg.training.from_folder import Settle, configured
from semiseg.training.journal import MetricsLog, ProgressBar
from semiseg.training.loggers import open_loggers
from semiseg.training.optimisers import Optimisers
from semiseg.training.parallel import log_means
from semiseg.training.preflight import check_run_data, tell_remarks
from semiseg.training.refresh import refresh_batch_norm
from semiseg.training.step import Stepper
from semiseg.training.validating import Validator


@dataclass(frozen=True)
class RunResult:
    """What a run gave, mIoU of the student in percent: both figures, since the best is chosen on the validation set."""

    run_dir: Path
    best_miou: float
    last_miou: float
    best_iteration: int
    seconds: float


def train(config: Config | str | Path, overrides: list[str] | tuple[str, ...] = (), *, resume: bool = False,
          progress: bool = True) -> RunResult:  # fmt: skip
    """Train a network as configured; everything lands in ``config.run_dir``.

    Args:
        config: a :class:`Config`, a preset name, a YAML file, or a folder of images, to which settings are fitted.
        overrides: ``section.key=value`` words applied to a preset, file or folder.
        resume: go on from ``checkpoints/last.pt``; the result is the same, bit for bit on a CPU, as without the stop.
        progress: show a bar, a sentence at each validation and, for a folder, what follows from its images.

    Raises:
        UsageError: wrong configuration, or a run folder that already holds a run.
        SemisegError: the data is not usable, or the loss stopped being a number.
    """
    settle = None
    if not isinstance(config, Config):
        config, settle = configured(config, overrides, resume, shown=progress)
    return Run(config, resume, settle, shown=progress).train(progress)


class Run:
    """One training run: data, method, optimisers and where they stand."""

    def __init__(self, config: Config, resume: bool = False, settle: Settle | None = None, shown: bool = False) -> None:
        self.run_dir = Path(config.run_dir)
        self.last, self.best = (self.run_dir / "checkpoints" / f"{name}.pt" for name in ("last", "best"))
        t = config.training
        self.device = distributed.start(resolve_device(t.device))
        self.main = distributed.is_main()
        state = run_folder.prepare(config, self.last, resume)
        distributed.barrier()  # all have looked before the first writes
        torch.manual_seed(t.seed)
        if t.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS asks for
        torch.use_deterministic_algorithms(t.deterministic, warn_only=True)
        self.data = open_run_data(data_as_begun(config.data, None if state is None else state.get("data", {})))
        if state is not None:
            check_classes(self.data.train.info.classes, tuple(state["info"]["classes"]))
        checked = check_run_data(config, self.data, shown)
        if state is not None:
            label_record.check_same(self.run_dir, checked.truths)
        settled = settle(self.data, self.device) if settle is not None and state is None else None
        if settled is not None:
            config, t = settled.config, settled.config.training
        self.config = config
        self.layout = layout(config)
        self.method = build_method(config, self.data, self.device, pretrained=state is None)
        self.optimisers = Optimisers(self.method)
        self.stepper = Stepper(self.method, self.optimisers, t, self.device)
        self.validator = Validator(config, self.data, self.method, self.device, self.best)
        self.rounds = rounds.of_run(self.method, t.iterations)
        self.iteration, self.clock = 0, Clock()
        if state is not None:
            self._load(state)
        if self.main:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            config.save(self.run_dir / "config.yaml")
            write_list(self.run_dir / "labelled.txt", self.data.labelled_names)
            label_record.write(self.run_dir, checked.truths, new=state is None)
            if settled is not None:
                derived.save(self.run_dir, settled.rows)
            tell_remarks(config, self.data, self.device, new=state is None, largest=checked.largest)

    def train(self, progress: bool = True) -> RunResult:
        """The loop: rounds of steps, each step followed by what is due: log, validation, checkpoint."""
        t, start, method = self.config.training, self.iteration, self.method
        self.clock = Clock(self.clock.before)
        log = MetricsLog(self.run_dir, start, open_loggers(self.config, self.run_dir, start)) if self.main else None
        shown = ("loss", *method.terms)
        bar = ProgressBar(t.iterations, start, self.config.method.name, shown, progress and self.main)
        method.train()
        try:
            with explained(self.device, self.last, lambda: self.iteration):
                while self.iteration < t.iterations:
                    self._train_round(rounds.number_at(self.rounds, self.iteration), log, bar)
        finally:
            bar.close()
            if log is not None:
                log.close()
        return self._finish()

    def _train_round(self, number: int, log: MetricsLog | None, bar: ProgressBar) -> None:
        """The steps that are left of a round; a later one begins with what the method makes of all images."""
        now, needs, first = self.rounds[number], self.method.needs, self.method.first_stage
        count_over(self.method, first if self.iteration < first else self.config.training.iterations - first)
        if number > 0 and self.iteration == now.start:
            rounds.begin(self.method, self.rounds, number, self.config, self.data, self.device)
            self.optimisers.restart()
        own, pinned = rounds.own_number(self.method, number), self.device.type == "cuda"
        stored = rounds.stored_labels(self.run_dir, own) if needs.stored_labels and own > 0 else None
        loaders = training_batches(
            self.config, self.data, self.iteration, now.stop, needs, pinned, stored, now.supervised
        )  # fmt: skip
        next_batches = batches_on_device(loaders, self.device, self.layout, self.clock)
        sums: dict[str, torch.Tensor] = {}
        self.clock.restart()
        while self.iteration < now.stop:
            for name, value in self.stepper(next_batches, self.iteration, now).items():
                sums[name] = sums.get(name, 0) + value
            self.clock.steps += self.config.training.accumulation
            self.iteration += 1
            if self._due(now, sums, log, bar):
                sums = {}

    def _due(self, now: Round, sums: dict[str, torch.Tensor], log: MetricsLog | None, bar: ProgressBar) -> bool:
        """Log, validate and save after a step, as far as it is time; whether a line of the log was written."""
        t, done = self.config.training, self.iteration
        ends = done == t.iterations
        validates = done % t.validate_every == 0 or ends or done == self.method.first_stage
        saves = done % t.checkpoint_every == 0 or ends
        if not (done % t.log_every == 0 or validates or saves):
            return False
        means = log_means(sums, self.clock.steps)
        check_finite(means, self.optimisers if saves or validates else None, done, self.last)
        speed, waiting = self.clock.speed(t.batch_size)
        if log is not None:
            log.write("train", done, means | {
                "learning_rate": self.optimisers.learning_rate, "images_per_second": round(speed, 2),
                "data_wait": round(waiting, 4),
            })  # fmt: skip
        bar.advance(done, means, speed)
        if now.supervised and (validates or saves):  # a checkpoint's teacher is of use, and is measured, then too
            start_teachers(self.method)
        if ends and t.batch_norm_refresh:
            method = self.method
            renewed = networks(method) if t.batch_norm_refresh_teacher else method.learners().values()
            refresh_batch_norm(renewed, self.config, self.data, self.device, self.layout)
        if validates:
            save_best = lambda: self._save(self.best, model_only=True)  # noqa: E731
            bar.miou = self.validator.validate(done, self.clock.seconds, log, save_best)
            if self.validator.sentence is not None:
                bar.say(f"{done}/{t.iterations}: {self.validator.sentence}")
        # best.pt must never be ahead of last.pt: a resume would take it for one of its own past.
        if saves or self.validator.iteration == done:
            self._save(self.last)
        self.clock.restart()
        return True

    def _save(self, path: Path, model_only: bool = False) -> None:
        """The first process writes; the others wait, so that none reads or leaves before the file is whole."""
        if self.main:
            checkpoint.save(path, self._state(model_only))
        distributed.barrier()

    def _state(self, model_only: bool = False) -> dict[str, Any]:
        info, best = self.data.train.info, self.validator
        state: dict[str, Any] = {
            "iteration": self.iteration,
            "method": self.method.state_dict(),
            "config": self.config.model_dump(mode="json"),
            "info": {"name": info.name, "classes": list(info.classes), "colours": [list(c) for c in info.colours]},
            "best": [best.miou, best.iteration, best.stale],
            "seconds": self.clock.seconds,
            "data": run_folder.data_facts(self.data),
        }
        if not model_only:
            state |= {
                "optimisers": self.optimisers.state_dict(),
                "scaler": self.stepper.scaler.state_dict(),
                "random": checkpoint.random_states(),
            }
        return state

    def _load(self, state: dict[str, Any]) -> None:
        run_folder.check_same_data(state.get("data", {}), run_folder.data_facts(self.data))  # older files have none
        self.method.load_state_dict(state["method"])
        self.optimisers.load_state_dict(state["optimisers"] if "optimisers" in state else state["optimiser"])
        self.stepper.scaler.load_state_dict(state["scaler"])
        self.validator.miou, self.validator.iteration, self.validator.stale = state["best"]
        self.iteration = state["iteration"]
        self.clock = Clock(state.get("seconds", 0.0))  # older files have none
        checkpoint.restore_random_states(state["random"])

    def _finish(self) -> RunResult:
        """Evaluate what is still missing and write the summary."""
        seconds = self.clock.seconds
        results = self.validator.finish()
        if self.main:
            run_folder.write_summary(
                self.run_dir, results, best_iteration=self.validator.iteration, iterations=self.iteration,
                labelled=len(self.data.labelled), seconds=seconds,
            )  # fmt: skip
        distributed.barrier()
        best, last = 100 * results["best"].miou, 100 * results["last"].miou
        return RunResult(self.run_dir, best, last, self.validator.iteration, seconds)
