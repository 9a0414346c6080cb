"""The training loop, the same for every method."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .. import distributed
from ..config import Config
from ..data.check import check_data
from ..data.domains import TwoDomains
from ..data.loading import CropDataset, PositionedCrops, batches
from ..data.run_data import open_run_data
from ..data.splits import write_list
from ..errors import SemisegError
from ..evaluation import EvaluationResult
from ..methods import METHODS, Batch, Method
from . import checkpoint, run_folder
from .diagnostics import pseudo_label_quality, watched_images
from .loggers import open_loggers
from .optimisation import (
    average_statistics,
    data_parallel,
    iteration_generator,
    learning_rate_factor,
    log_means,
    make_optimiser,
    parameters_are_finite,
    resolve_device,
    share_of_batch,
)
from .preflight import SAVERS, memory_remark
from .progress import MetricsLog, ProgressBar
from .validation import validate, validation_pictures


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
        torch.use_deterministic_algorithms(t.deterministic)
        self.data = open_run_data(config.data)
        self._check_data()
        self._check_memory()
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
        t, began, start = self.config.training, time.monotonic(), self.iteration
        log = MetricsLog(self.run_dir, start, open_loggers(self.config, self.run_dir, start)) if self.main else None
        bar = ProgressBar(t.iterations, start, self.config.method.name, progress and self.main)
        labelled, unlabelled = self._loaders(start)
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
                    batch_l = self._to_device(next(labelled))
                    batch_u = self._to_device(next(unlabelled)) if unlabelled is not None else None
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
                        self._refresh_batch_norm()
                    if validates:
                        bar.miou = self._validate(log)
                    if saves:
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
        return self._finish(time.monotonic() - began)

    def _loaders(self, start: int) -> tuple[Iterator[dict[str, Any]], Iterator[dict[str, Any]] | None]:
        c, t = self.config.data, self.config.training

        first, last = start * t.accumulation, t.iterations * t.accumulation

        def crops(indices: list[int], stream: str, labels: bool) -> CropDataset:
            return CropDataset(
                self.data.train, indices, c.crop, t.seed, stream, resize=c.resize, cache=c.cache, use_labels=labels
            )

        def loader(dataset: PositionedCrops, size: int) -> Iterator[dict[str, Any]]:
            return iter(batches(
                dataset, size, first, last, c.workers, pin_memory=self.device.type == "cuda",
                rank=distributed.rank(), world=distributed.world(),
            ))  # fmt: skip

        target = crops(self.data.labelled, "labelled", True)
        if self.data.source is None:
            labelled = loader(target, share_of_batch(t.batch_size, "training.batch_size"))
        else:
            source = CropDataset(
                self.data.source, range(len(self.data.source)), c.crop, t.seed, "source", resize=c.source.resize,
                cache=c.cache,
            )  # fmt: skip
            both = TwoDomains(target, source, c.source.sampling, t.batch_size, last)
            labelled = loader(both, share_of_batch(t.batch_size, "training.batch_size"))
        if not self.method.needs_unlabelled:
            return labelled, None
        size = max(1, round(t.batch_size * t.unlabelled_ratio))
        unlabelled = crops(self.data.unlabelled, "unlabelled", False)
        return labelled, loader(unlabelled, share_of_batch(size, "batch_size * unlabelled_ratio"))

    def _to_device(self, batch: dict[str, Any]) -> Batch:
        images = batch["image"].to(self.device, non_blocking=True).to(torch.float32).div_(255)
        target = batch["target"].to(self.device, non_blocking=True) if "target" in batch else None
        labels = batch["label"].to(self.device, non_blocking=True)
        return Batch(images.contiguous(memory_format=self.layout), labels, target)

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
            log.write("validation", self.iteration, result.to_json() | {"miou": miou})
            if log.loggers:
                pictures = validation_pictures(self.method.student, self.data.val, self.config, self.device)
                for logger in log.loggers:
                    logger.pictures(self.iteration, pictures)
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

    @torch.no_grad()
    def _refresh_batch_norm(self) -> None:
        """Renew the student's running statistics as plain averages over labelled batches (authors' code)."""
        norms = [m for m in self.method.student.modules() if isinstance(m, _BatchNorm) and m.training]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # cumulative average
        count = self.config.training.batch_norm_refresh
        crops = CropDataset(self.data.train, self.data.labelled, self.config.data.crop, self.config.training.seed,
                            "refresh", resize=self.config.data.resize, cache=False, use_labels=False)  # fmt: skip
        for batch in batches(crops, self.config.training.batch_size, 0, count, 0):
            self.method.student(self._to_device(batch).images)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

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
        checkpoint.restore_random_states(state["random"])

    def _check_memory(self) -> None:
        remark = memory_remark(self.config, self.data.train.info.num_classes, self.device) if self.main else None
        if remark is not None:
            print(f"semiseg: {remark}", file=sys.stderr, flush=True)

    def _check_data(self) -> None:
        crop = self.config.data.crop
        shape = (crop, crop) if isinstance(crop, int) else crop
        findings = check_data(
            self.data.train, self.data.val, self.data.labelled_names, shape, resize=self.config.data.resize, quick=True,
            source=self.data.source, source_resize=self.config.data.source.resize,
        )  # fmt: skip
        errors = [f for f in findings if f.level == "error"]
        if errors:
            more = f" ({len(errors) - 1} more; `semiseg data check` lists them)" if len(errors) > 1 else ""
            raise SemisegError(f"{errors[0].where}: {errors[0].message}; {errors[0].mend}{more}")

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
