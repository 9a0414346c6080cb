"""The training loop, the same for every method."""

from __future__ import annotations

import math
import os
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from semiseg.config.read import Config
from semiseg.data.run_data import open_run_data
from semiseg.data.splits.lists import write_list
from semiseg.errors import SemisegError
from semiseg.evaluation.confusion import EvaluationResult
from semiseg.evaluation.pseudo_label_quality import pseudo_label_quality, watched_images
from semiseg.evaluation.validation import validate, validation_pictures
from semiseg.methods import METHODS, Method
from semiseg.runs import checkpoint
from semiseg.runtime import distributed
from semiseg.runtime.device import resolve_device
from semiseg.training import run_folder
from semiseg.training.batches import refresh_batch_norm, to_batch, training_batches
from semiseg.training.journal import MetricsLog, ProgressBar
from semiseg.training.loggers import open_loggers
from semiseg.training.optimisation import (
    average_statistics,
    data_parallel,
    iteration_generator,
    learning_rate_factor,
    log_means,
    make_optimiser,
    parameters_are_finite,
)
from semiseg.training.preflight import SAVERS, check_run_data, memory_remark


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
        config: a :class:`Config`, a preset name or a YAML file.
        overrides: ``section.key=value`` words applied to a preset or file.
        resume: go on from ``checkpoints/last.pt``; the result is the same, bit for bit on a CPU, as without the stop.
        progress: show a progress bar.

    Raises:
        UsageError: wrong configuration, or a run folder that already holds a run.
        SemisegError: the data is not usable, or the loss stopped being a number.
    """
    if not isinstance(config, Config):
        config = Config.load(config, overrides)
    run = Run(config, resume)
    return run.train(progress)


class Run:
    """One training run: data, method, optimiser and where they stand."""

    def __init__(self, config: Config, resume: bool = False) -> None:
        self.config = config
        self.run_dir = Path(config.run_dir)
        self.last, self.best = (self.run_dir / "checkpoints" / f"{name}.pt" for name in ("last", "best"))
        t = config.training
        self.device = distributed.start(resolve_device(t.device))
        self.main = distributed.is_main()
        resume = run_folder.prepare(config, self.last, resume)
        distributed.barrier()  # all have looked before the first writes
        torch.manual_seed(t.seed)
        if t.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS asks for
        torch.use_deterministic_algorithms(t.deterministic, warn_only=True)
        self.data = open_run_data(config.data)
        check_run_data(config, self.data)
        remark = memory_remark(config, self.data.train.info.num_classes, self.device) if self.main else None
        if remark is not None:
            print(f"semiseg: {remark}", file=sys.stderr, flush=True)
        network = checkpoint.build_network_of(config, self.data.train.info.num_classes, pretrained=not resume)
        self.method: Method = METHODS[config.method.name](config, network, len(self.data.labelled))
        uses_pseudo_labels = self.method.needs_unlabelled and self.method.needs_teacher
        self.watched = watched_images(self.data) if uses_pseudo_labels else []
        self.layout = torch.channels_last if t.channels_last else torch.contiguous_format
        self.method.to(device=self.device)
        if t.sync_batch_norm and distributed.world() > 1 and self.device.type == "cuda":
            convert = nn.SyncBatchNorm.convert_sync_batchnorm
            self.method.student = convert(self.method.student)  # type: ignore[no-untyped-call]
        for module in (self.method.student, self.method.teacher):
            module.to(memory_format=self.layout)  # type: ignore[call-overload]
        self.optimiser = make_optimiser(self.method, t)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=t.precision == "fp16")
        self.iteration = 0
        self.best_miou, self.best_iteration, self.stale = -math.inf, 0, 0
        self.seconds, self.began = 0.0, time.monotonic()  # of the parts before a resume; start of this one
        self.results: dict[str, EvaluationResult] = {}  # of this process: last and best student
        if resume:
            self._load(checkpoint.load(self.last, self.device))
        self.method.student.recompute = t.activation_checkpointing
        if t.compile:
            self.method.student.compile()
            if self.method.needs_teacher:
                self.method.teacher.compile()
        self.step = data_parallel(self.method, self.device)
        if self.main:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            config.save(self.run_dir / "config.yaml")
            write_list(self.run_dir / "labelled.txt", self.data.labelled_names)

    def train(self, progress: bool = True) -> RunResult:
        """The loop: load → losses → optimiser → teacher → log → validate → save."""
        t, start = self.config.training, self.iteration
        self.began = time.monotonic()
        log = MetricsLog(self.run_dir, start, open_loggers(self.config, self.run_dir, start)) if self.main else None
        bar = ProgressBar(t.iterations, start, self.config.method.name, progress and self.main)
        pinned = self.device.type == "cuda"
        labelled, unlabelled = training_batches(self.config, self.data, start, self.method.needs_unlabelled, pinned)
        sums: dict[str, Tensor] = {}
        since, waited, marked = 0, 0.0, time.monotonic()
        self.method.train()
        try:
            while self.iteration < t.iterations:
                step = self.iteration
                for group in self.optimiser.param_groups:
                    group["lr"] = group["base"] * learning_rate_factor(step, t.iterations, t.poly_power, t.lr_warmup)
                for part in range(t.accumulation):
                    before = time.monotonic()
                    batch_l = to_batch(next(labelled), self.device, self.layout)
                    batch_u = to_batch(next(unlabelled), self.device, self.layout) if unlabelled is not None else None
                    waited += time.monotonic() - before
                    generator = iteration_generator(t.seed, step * t.accumulation + part, distributed.rank())
                    with self._last_of(part, t.accumulation):
                        with self._autocast():
                            losses = self.step(batch_l, batch_u, step, generator)
                        self.scaler.scale(losses["loss"] / t.accumulation).backward()
                    for name, value in losses.items():
                        sums[name] = sums.get(name, 0) + value.detach()
                    since += 1
                if t.gradient_clip is not None:
                    self.scaler.unscale_(self.optimiser)
                    nn.utils.clip_grad_norm_(
                        [p for g in self.optimiser.param_groups for p in g["params"]], t.gradient_clip
                    )
                self.scaler.step(self.optimiser)
                self.scaler.update()
                self.optimiser.zero_grad(set_to_none=True)
                average_statistics(self.method.student)
                self.method.after_step(step)
                self.iteration = done = step + 1

                ends = done == t.iterations
                validates, saves = done % t.validate_every == 0 or ends, done % t.checkpoint_every == 0 or ends
                if done % t.log_every == 0 or validates or saves:
                    means = log_means(sums, since)
                    self._check_finite(means, weights=saves or validates)
                    seconds = time.monotonic() - marked
                    speed = since * t.batch_size / seconds
                    rate = self.optimiser.param_groups[0]["lr"]
                    if log is not None:
                        log.write("train", done, means | {
                            "learning_rate": rate, "images_per_second": round(speed, 2),
                            "data_wait": round(waited / seconds, 4),
                        })  # fmt: skip
                    bar.advance(done, means, speed)
                    sums, since, waited = {}, 0, 0.0
                    if ends and t.batch_norm_refresh:
                        refresh_batch_norm(self.method.student, self.config, self.data, self.device, self.layout)
                    if validates:
                        bar.miou = self._validate(log)
                    # best.pt must never be ahead of last.pt: a resume would take it for one of its own past.
                    if saves or self.best_iteration == done:
                        self._save(self.last)
                    marked = time.monotonic()
        except torch.OutOfMemoryError as error:
            kept = f"{self.last} is kept (--resume with its settings, or start anew)" if self.last.exists() else ""
            raise SemisegError(
                f"out of memory on {self.device} at iteration {self.iteration}: try {SAVERS}{'; ' * bool(kept)}{kept}"
            ) from error
        except RuntimeError as error:
            if distributed.lost_another(error):
                raise SemisegError(
                    f"another process of this job ended; --resume goes on from {self.last} once it is mended"
                ) from error
            raise
        finally:
            bar.close()
            if log is not None:
                log.close()
        return self._finish(self.seconds + time.monotonic() - self.began)

    def _autocast(self) -> AbstractContextManager[Any]:
        types = {"bf16": torch.bfloat16, "fp16": torch.float16}
        precision = self.config.training.precision
        return nullcontext() if precision == "fp32" else torch.autocast(self.device.type, types[precision])

    def _check_finite(self, means: dict[str, float], weights: bool) -> None:
        """Stop on a loss that is no number, and before a save on weights that a bad gradient has spoilt."""
        bad = [name for name, value in means.items() if not math.isfinite(value)]
        if weights and not bad and not parameters_are_finite(self.optimiser):
            bad = ["weights"]
        if bad:
            kept = f"the last good checkpoint is {self.last}" if self.last.exists() else "no checkpoint was saved yet"
            raise SemisegError(
                f"{', '.join(bad)} became NaN or infinite by iteration {self.iteration}; {kept}. Lower "
                "training.learning_rate, or set training.gradient_clip=10, and start again"
            )

    def _validate(self, log: MetricsLog | None) -> float:
        result = validate(self.method.student, self.data.val, self.config, self.device)
        self.method.train()
        self.results["last"] = result
        miou = 100 * result.miou
        if log is not None:
            log.write("validation", self.iteration, result.to_json() | {"miou": miou} | self.method.measures())
            if log.loggers:
                pictures = validation_pictures(self.method.student, self.data.val, self.config, self.device)
                log.pictures(self.iteration, pictures)
        if self.watched:
            quality = pseudo_label_quality(self.method.teacher, self.data.train, self.watched, self.config, self.device)
            if log is not None:
                log.write("pseudo_labels", self.iteration, quality)
        if miou > self.best_miou:
            self.best_miou, self.best_iteration, self.stale = miou, self.iteration, 0
            self.results["best"] = result
            self._save(self.best, model_only=True)
        else:
            self.stale += 1
            patience = self.config.training.plateau_patience
            ends = self.iteration == self.config.training.iterations  # last.pt must stay what was measured
            if patience is not None and self.stale >= patience and not ends:
                self.method.load_state_dict(checkpoint.load(self.best, self.device)["method"])
                self.stale = 0
        return miou

    def _save(self, path: Path, model_only: bool = False) -> None:
        """The first process writes; the others wait, so that none reads or leaves before the file is whole."""
        if self.main:
            checkpoint.save(path, self._state(model_only))
        distributed.barrier()

    def _last_of(self, part: int, parts: int) -> AbstractContextManager[Any]:
        """Gradients are exchanged once a step, after its last part."""
        if isinstance(self.step, nn.parallel.DistributedDataParallel) and part < parts - 1:
            return self.step.no_sync()
        return nullcontext()

    def _state(self, model_only: bool = False) -> dict[str, Any]:
        info = self.data.train.info
        state: dict[str, Any] = {
            "iteration": self.iteration,
            "method": self.method.state_dict(),
            "config": self.config.model_dump(mode="json"),
            "info": {"name": info.name, "classes": list(info.classes), "colours": [list(c) for c in info.colours]},
            "best": [self.best_miou, self.best_iteration, self.stale],
            "seconds": self.seconds + time.monotonic() - self.began,
            "data": run_folder.data_facts(self.data),
        }
        if not model_only:
            state |= {
                "optimiser": self.optimiser.state_dict(),
                "scaler": self.scaler.state_dict(),
                "random": checkpoint.random_states(),
            }
        return state

    def _load(self, state: dict[str, Any]) -> None:
        run_folder.check_same_data(state.get("data", {}), run_folder.data_facts(self.data))  # older files have none
        self.method.load_state_dict(state["method"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.best_miou, self.best_iteration, self.stale = state["best"]
        self.iteration = state["iteration"]
        self.seconds = state.get("seconds", 0.0)  # older files have none
        checkpoint.restore_random_states(state["random"])

    def _finish(self, seconds: float) -> RunResult:
        """Evaluate what is still missing and write the summary."""
        results = self.results
        if "last" not in results:  # a run that was already finished
            results["last"] = validate(self.method.student, self.data.val, self.config, self.device)
        if "best" not in results:  # found before a resume
            best = checkpoint.load_model(self.best, device=self.device)
            results["best"] = validate(best.network, self.data.val, self.config, self.device)
        if self.method.needs_teacher:
            results["last_teacher"] = validate(self.method.teacher, self.data.val, self.config, self.device)
        if self.main:
            run_folder.write_summary(
                self.run_dir, results, best_iteration=self.best_iteration, iterations=self.iteration,
                labelled=len(self.data.labelled), seconds=seconds,
            )  # fmt: skip
        distributed.barrier()
        return RunResult(
            self.run_dir, 100 * results["best"].miou, 100 * results["last"].miou, self.best_iteration, seconds
        )
