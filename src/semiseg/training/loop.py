"""The training loop, the same for every method."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from semiseg.config.read import Config
from semiseg.data.run_data import check_classes, open_run_data
from semiseg.methods.base import Round
from semiseg.methods.base.stages import count_over, start_teachers
from semiseg.runs.begun import data_as_begun
from semiseg.runs.kept import Kept
from semiseg.runtime import distributed
from semiseg.runtime.device import resolve_device
from semiseg.runtime.peak_memory import PeakMemory
from semiseg.runtime.signals import Signals, Stopped
from semiseg.training import label_record, pixels, rounds, run_folder, saving
from semiseg.training.batches import batches_on_device, training_batches
from semiseg.training.building import build_method, layout
from semiseg.training.clock import Clock
from semiseg.training.failures import check_finite, explained, stopped
from semiseg.training.finite import FiniteWatch
from semiseg.training.journal import MetricsLog, remark
from semiseg.training.limits import check_limits, check_precision
from semiseg.training.lock import RunLock
from semiseg.training.loggers import open_loggers
from semiseg.training.loss_sums import LossSums
from semiseg.training.opening import tell_opening
from semiseg.training.optimisers import Optimisers
from semiseg.training.preflight import check_run_data, tell_remarks
from semiseg.training.progress_bar import ProgressBar
from semiseg.training.source import Settle, start_of, with_own_folder
from semiseg.training.state import restore
from semiseg.training.step import Stepper
from semiseg.training.unread import unread_remark
from semiseg.training.validating import Validator


@dataclass(frozen=True)
class RunResult:
    """What a run gave, mIoU of the student in percent: both figures, since the best is chosen on the validation set."""

    run_dir: Path
    best_miou: float
    last_miou: float
    best_iteration: int
    seconds: float


def train(config: Config | str | Path, overrides: list[str] | tuple[str, ...] = (), *,
          resume: bool | Literal["auto"] = False, progress: bool = True) -> RunResult:  # fmt: skip
    """Train a network as configured; everything lands in ``config.run_dir``.

    A signal that asks to end (SIGTERM, SIGINT as by Ctrl-C, SIGHUP, SIGUSR1) lets the step under way end, which is then
    saved; a second one ends the process at once.

    Args:
        config: a :class:`Config`, a preset name, a YAML file, or a folder of images, to which settings are fitted.
        overrides: ``section.key=value`` words applied to a preset, file or folder.
        resume: go on from ``checkpoints/last.pt``, or from the one before it where that is damaged; the result is the
            same, bit for bit on a CPU, as without the stop. ``"auto"``: start where there is no checkpoint.
        progress: show a bar, a sentence at each validation and, for a folder, what follows from its images.

    Raises:
        UsageError: wrong configuration, a run folder that already holds a run or, to resume, none, or one in which
            another process trains.
        SemisegError: the data is not usable, the loss stopped being a number, or the disk is full.
        Stopped: a ``KeyboardInterrupt``; the message says what was saved.
    """
    settle = unread = base = None
    with Signals() as signals:
        try:
            if not isinstance(config, Config):
                source = config
                config, settle, base = start_of(source, overrides, resume is True, resume == "auto")
                unread = unread_remark(config, source, overrides)
            if base is not None:
                config = with_own_folder(config, base)
            run = Run(config, resume, settle, signals, shown=progress, unread=unread, made=base is not None)
        except Stopped as error:
            raise stopped(error.signal) from None
        return run.train(progress)


class Run:
    """One training run: data, method, optimisers and where they stand."""

    def __init__(
        self, config: Config, resume: bool | Literal["auto"] = False, settle: Settle | None = None,
        signals: Signals | None = None, shown: bool = False, unread: str | None = None, made: bool = False,
    ) -> None:  # fmt: skip
        self.run_dir = Path(config.run_dir)
        self.kept, self.lock = Kept(self.run_dir), RunLock(self.run_dir, made)
        self.last, self.best = self.kept.last, self.kept.best
        self.signals = signals or Signals()
        try:
            self._prepare(config, resume, settle, shown, unread)
        except BaseException:
            self.lock.release()
            raise

    def _prepare(
        self, config: Config, resume: bool | Literal["auto"], settle: Settle | None, shown: bool, unread: str | None
    ) -> None:  # fmt: skip
        t = config.training
        self.device = distributed.start(resolve_device(t.device))
        check_precision(t.precision, self.device)
        check_limits(config)
        self.main = distributed.is_main()
        run_folder.take(self.lock, self.main)
        config, found = run_folder.prepare(config, self.kept, resume)
        t = config.training
        distributed.barrier()  # all have looked before the first writes
        torch.manual_seed(t.seed)
        if t.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS asks for
        torch.use_deterministic_algorithms(t.deterministic, warn_only=True)
        state = None if found is None else found.state
        if state is not None:
            config = pixels.as_measured(config, Config.parse(state["config"]).data.ranges)
        self.data = open_run_data(data_as_begun(config.data, None if state is None else state.get("data", {})))
        if state is not None:
            check_classes(self.data.train.info.classes, tuple(state["info"]["classes"]))
        checked = check_run_data(config, self.data, shown)
        if state is not None:
            label_record.check_same(self.run_dir, checked.truths)
        settled = settle(self.data, self.device) if settle is not None and found is None else None
        if settled is not None:
            config = settled.config.model_copy(update={"run_dir": config.run_dir})
            t = config.training
            check_limits(config)
        config = pixels.as_measured(config, self.data.ranges)
        if shown and self.main:
            tell_opening(config, self.data, self.device, settled, found is not None)
        self.config = config
        self.layout = layout(config)
        self.method = build_method(config, self.data, self.device, pretrained=found is None)
        self.optimisers = Optimisers(self.method)
        self.stepper = Stepper(self.method, self.optimisers, t, self.device)
        self.validator = Validator(config, self.data, self.method, self.device, self.best)
        self.rounds = rounds.of_run(self.method, t.iterations)
        self.watch = FiniteWatch(self.data, self.device)
        self.iteration, self.clock, self.losses = 0, Clock(), LossSums()
        self.pending: list[str] = []  # what follows the last save and may fail: refresh, validation
        self.saved: int | None = None  # step of last.pt
        if found is not None:
            restore(self, found.state)
            self.saved = self.iteration
        if self.main:
            self.kept.tidy(found)
            run_folder.write_begun(config, self.data, checked.truths, settled, new=found is None)
            for line in (*(found.remarks if found is not None else ()), *([unread] if unread else ())):
                remark(line)
            tell_remarks(config, self.data, self.device, new=found is None, largest=checked.largest)

    def train(self, progress: bool = True) -> RunResult:
        """The loop: rounds of steps, each step followed by what is due: log, checkpoint, validation."""
        try:
            return self._train(progress)
        except Stopped as error:
            steps = self.config.training.iterations
            raise stopped(error.signal, self.iteration, steps, self.last, self.saved) from None
        finally:
            self.lock.release()

    def _train(self, progress: bool) -> RunResult:
        t, start, method = self.config.training, self.iteration, self.method
        self.clock, self.saved_at, self.memory = Clock(self.clock.before), time.monotonic(), PeakMemory(self.device)
        shown = ("loss", *method.terms)
        self.log = self._open_log(start) if self.main else None
        self.bar = ProgressBar(t.iterations, start, self.config.method.name, shown, progress and self.main)
        method.train()
        try:
            with explained(self.device, self.last, lambda: self.iteration), self.signals.deferred():
                if self.pending:
                    self._count_over(self.iteration - 1)
                    saving.settle(self)
                while self.iteration < t.iterations:
                    self._train_round(rounds.number_at(self.rounds, self.iteration))
        finally:
            self.bar.close()
            if self.log is not None:
                self.log.close()
        return self._finish()

    def _open_log(self, start: int) -> MetricsLog:
        again = bool(self.pending)
        return MetricsLog(self.run_dir, start, open_loggers(self.config, self.run_dir, start, again), again)

    def _count_over(self, iteration: int) -> None:
        """Let the method count over the stage that step ``iteration`` belongs to."""
        first = self.method.first_stage
        count_over(self.method, first if iteration < first else self.config.training.iterations - first)

    def _train_round(self, number: int) -> None:
        """The steps that are left of a round; a later one begins with what the method makes of all images."""
        now, needs = self.rounds[number], self.method.needs
        self._count_over(self.iteration)
        if number > 0 and self.iteration == now.start:
            with self.signals.at_once():
                rounds.begin(self.method, self.rounds, number, self.config, self.data, self.device)
            self.optimisers.restart()
        own, pinned = rounds.own_number(self.method, number), self.device.type == "cuda"
        stored = rounds.stored_labels(self.run_dir, own) if needs.stored_labels and own > 0 else None
        loaders = training_batches(
            self.config, self.data, self.iteration, now.stop, needs, pinned, stored, now.supervised
        )  # fmt: skip
        next_batches = batches_on_device(loaders, self.device, self.layout, self.clock)
        self.clock.restart()
        while self.iteration < now.stop:
            parts = self.config.training.accumulation
            sums = self.stepper(next_batches, self.iteration, now)
            self.losses.add(sums, parts)
            if self.watch.look(self.iteration, sums, self.stepper.gradients, self.stepper.crops):
                check_finite({}, None, self.iteration + 1, self.last, self.watch.first())
            self.clock.steps += parts
            self.iteration += 1
            self._due(now)

    def _due(self, now: Round) -> None:
        """Log, save and validate after a step, as far as it is time; a signal ends the run once it is saved."""
        t, done = self.config.training, self.iteration
        is_late = t.save_minutes is not None and time.monotonic() - self.saved_at >= 60 * t.save_minutes
        asked, late = distributed.largest(self.signals.received or 0, self.main and is_late)
        ends = done == t.iterations
        validates = done % t.validate_every == 0 or ends or done == self.method.first_stage
        regular = done % t.checkpoint_every == 0 or ends
        logs = done % t.log_every == 0 or validates or regular
        # What may fail, the beginning of a round among it, follows a save.
        saves = validates or regular or done == now.stop or bool(late or asked)
        if not (logs or saves):
            return
        means = self.losses.means()
        check_finite(means, self.optimisers if saves else None, done, self.last, self.watch.first())
        self.watch.clear()
        if logs:
            self._write_line(means)
        if saves:
            if now.supervised:  # a checkpoint's teacher is of use, and is measured, then too
                start_teachers(self.method)
            refreshes = ends and t.batch_norm_refresh > 0
            self.pending = ["refresh"] * refreshes + ["validation"] * validates
            saving.save(self)
        if asked:
            raise Stopped(asked)
        saving.settle(self)
        self.clock.restart()

    def _write_line(self, means: dict[str, float]) -> None:
        speed, waiting = self.clock.speed(self.config.training.batch_size)
        if self.log is not None:
            self.log.write("train", self.iteration, means | {
                "learning_rate": self.optimisers.learning_rate, "images_per_second": round(speed, 2),
                "data_wait": round(waiting, 4),
            })  # fmt: skip
        self.bar.advance(self.iteration, means, speed)
        self.losses.clear()

    def _finish(self) -> RunResult:
        """Evaluate what is still missing and write the summary."""
        seconds = self.clock.seconds
        results = self.validator.finish()
        if self.main:
            run_folder.write_summary(
                self.run_dir, results, best_iteration=self.validator.iteration, iterations=self.iteration,
                labelled=len(self.data.labelled), seconds=seconds, peak_memory=self.memory.read(),
            )  # fmt: skip
        distributed.barrier()
        best, last = 100 * results["best"].miou, 100 * results["last"].miou
        return RunResult(self.run_dir, best, last, self.validator.iteration, seconds)
