"""The training loop, the same for every method."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..config import Config, fields
from ..config_sections import TrainingConfig
from ..data.check import check_data
from ..data.domains import TwoDomains
from ..data.loading import CropDataset, PositionedCrops, batches
from ..data.run_data import open_run_data
from ..data.splits import write_list
from ..errors import SemisegError, UsageError
from ..evaluation import EvaluationResult
from ..methods import METHODS, Batch, Method
from . import checkpoint
from .progress import MetricsLog, ProgressBar
from .validation import validate

# What may change between a run and its continuation without changing the result.
FREE_ON_RESUME = {
    "name", "title", "table", "paper_miou", "needs", "run_dir", "data.root", "data.source.root", "data.workers",
    "data.cache", "training.device", "training.log_every", "training.checkpoint_every", "training.tensorboard",
}  # fmt: skip


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


def resolve_device(name: str) -> torch.device:
    """``auto`` takes CUDA, then the CPU; any other name is a torch device."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"training.device {name!r} is no device; use auto, cpu, cuda or cuda:0") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("training.device=cuda, but PyTorch finds no CUDA device; use training.device=cpu")
    return device


def learning_rate_factor(iteration: int, total: int, power: float, warmup: float = 0.0) -> float:
    """Poly schedule (1 - i/N)^power (section 4.2), after an optional linear rise over ``warmup``·N steps."""
    rise = warmup * total
    return min(1.0, (iteration + 1) / rise if rise else 1.0) * (1 - iteration / total) ** power


def iteration_generator(seed: int, step: int) -> torch.Generator:
    """Generator of one step's augmentation: a function of seed and step, so a resume needs no saved state."""
    state = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


def make_optimiser(groups: list[dict[str, Any]], t: TrainingConfig) -> torch.optim.Optimizer:
    """SGD (section 4.2), or AdamW; every group brings its own rate."""
    if t.optimizer == "adamw":
        betas = (t.momentum, 0.999)
        return torch.optim.AdamW(groups, lr=t.learning_rate, betas=betas, weight_decay=t.weight_decay)
    return torch.optim.SGD(groups, lr=t.learning_rate, momentum=t.momentum, weight_decay=t.weight_decay)


class Run:
    """One training run: data, method, optimiser and where they stand."""

    def __init__(self, config: Config, resume: bool = False) -> None:
        self.config = config
        self.run_dir = Path(config.run_dir)
        self.last, self.best = (self.run_dir / "checkpoints" / f"{name}.pt" for name in ("last", "best"))
        resume = self._prepare_folder(resume)
        t = config.training
        self.device = resolve_device(t.device)
        torch.manual_seed(t.seed)
        torch.use_deterministic_algorithms(t.deterministic)
        self.data = open_run_data(config.data)
        self._check_data()
        network = checkpoint.build_network_of(config, self.data.train.info.num_classes, pretrained=not resume)
        self.method: Method = METHODS[config.method.name](config, network, len(self.data.labelled))
        self.layout = torch.channels_last if t.channels_last else torch.contiguous_format
        self.method.to(device=self.device)
        for module in (self.method.student, self.method.teacher):
            module.to(memory_format=self.layout)  # type: ignore[call-overload]
        rates = t.lr_multipliers.model_dump()
        groups = [
            {"params": parameters, "lr": t.learning_rate * rates[name], "base": t.learning_rate * rates[name]}
            for name, parameters in self.method.trainable_parameters().items()
            if parameters
        ]
        self.optimiser = make_optimiser(groups, t)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=t.precision == "fp16")
        self.iteration = 0
        self.best_miou, self.best_iteration, self.stale = -math.inf, 0, 0
        self.results: dict[str, EvaluationResult] = {}  # of this process: last and best student
        if resume:
            self._load(checkpoint.load(self.last, self.device))
        self.run_dir.mkdir(parents=True, exist_ok=True)
        config.save(self.run_dir / "config.yaml")
        write_list(self.run_dir / "labelled.txt", self.data.labelled_names)

    def train(self, progress: bool = True) -> RunResult:
        """The loop: load → losses → optimiser → teacher → log → validate → save."""
        t, began, start = self.config.training, time.monotonic(), self.iteration
        log = MetricsLog(self.run_dir, start, t.tensorboard)
        bar = ProgressBar(t.iterations, start, self.config.method.name, progress)
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
                    generator = iteration_generator(t.seed, step * t.accumulation + part)
                    with self._autocast():
                        losses = self.method.step(batch_l, batch_u, step, generator)
                    self.scaler.scale(losses["loss"] / t.accumulation).backward()  # type: ignore[no-untyped-call]
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
                self.method.after_step(step)
                self.iteration = done = step + 1

                ends = done == t.iterations
                validates, saves = done % t.validate_every == 0 or ends, done % t.checkpoint_every == 0 or ends
                if done % t.log_every == 0 or validates or saves:
                    means = {name: value.item() / since for name, value in sums.items()}
                    self._check_finite(means, weights=saves or validates)
                    seconds = time.monotonic() - marked
                    speed = since * t.batch_size / seconds
                    rate = self.optimiser.param_groups[0]["lr"]
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
                        checkpoint.save(self.last, self._state())
                    marked = time.monotonic()
        finally:
            bar.close()
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
            return iter(batches(dataset, size, first, last, c.workers, pin_memory=self.device.type == "cuda"))

        target = crops(self.data.labelled, "labelled", True)
        if self.data.source is None:
            labelled = loader(target, t.batch_size)
        else:
            source = CropDataset(
                self.data.source, range(len(self.data.source)), c.crop, t.seed, "source", resize=c.source.resize,
                cache=c.cache,
            )  # fmt: skip
            labelled = loader(TwoDomains(target, source, c.source.sampling, t.batch_size, last), t.batch_size)
        if not self.method.needs_unlabelled:
            return labelled, None
        size = max(1, round(t.batch_size * t.unlabelled_ratio))
        return labelled, loader(crops(self.data.unlabelled, "unlabelled", False), size)

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
        if weights and not bad:
            parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
            if not torch.stack([p.detach().isfinite().all() for p in parameters]).all():
                bad = ["weights"]
        if bad:
            kept = f"the last good checkpoint is {self.last}" if self.last.exists() else "no checkpoint was saved yet"
            raise SemisegError(
                f"{', '.join(bad)} became NaN or infinite by iteration {self.iteration}; {kept}. Lower "
                "training.learning_rate, or set training.gradient_clip=10, and start again"
            )

    def _validate(self, log: MetricsLog) -> float:
        result = validate(self.method.student, self.data.val, self.config, self.device)
        self.method.train()
        self.results["last"] = result
        miou = 100 * result.miou
        log.write("validation", self.iteration, result.to_json() | {"miou": miou})
        if miou > self.best_miou:
            self.best_miou, self.best_iteration, self.stale = miou, self.iteration, 0
            self.results["best"] = result
            checkpoint.save(self.best, self._state(model_only=True))
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
        norms = [m for m in self.method.student.modules() if isinstance(m, nn.BatchNorm2d) and m.training]
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

    def _state(self, model_only: bool = False) -> dict[str, Any]:
        info = self.data.train.info
        state: dict[str, Any] = {
            "iteration": self.iteration,
            "method": self.method.state_dict(),
            "config": self.config.model_dump(mode="json"),
            "info": {"name": info.name, "classes": list(info.classes), "colours": [list(c) for c in info.colours]},
            "best": [self.best_miou, self.best_iteration, self.stale],
        }
        if not model_only:
            state |= {
                "optimiser": self.optimiser.state_dict(),
                "scaler": self.scaler.state_dict(),
                "random": checkpoint.random_states(),
            }
        return state

    def _load(self, state: dict[str, Any]) -> None:
        self.method.load_state_dict(state["method"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.best_miou, self.best_iteration, self.stale = state["best"]
        self.iteration = state["iteration"]
        checkpoint.restore_random_states(state["random"])

    def _prepare_folder(self, resume: bool) -> bool:
        """Refuse to write over a run; with ``resume``, refuse to continue another configuration."""
        if not self.last.exists():
            if self.run_dir.exists() and any(self.run_dir.iterdir()) and not resume:
                raise UsageError(f"{self.run_dir} is not empty; choose another run_dir=, or --resume if it is a run")
            return False
        if not resume:
            raise UsageError(f"{self.run_dir} already holds a run; add --resume to go on, or choose another run_dir=")
        saved = Config.parse(checkpoint.load(self.last)["config"])
        changed = [
            key for key in fields() if key not in FREE_ON_RESUME and _value(saved, key) != _value(self.config, key)
        ]
        if changed:
            shown = ", ".join(
                f"{key} ({_value(saved, key)} then, {_value(self.config, key)} now)" for key in changed[:3]
            )
            raise UsageError(f"--resume with another configuration: {shown}; give the same values or another run_dir=")
        return True

    def _check_data(self) -> None:
        crop = self.config.data.crop
        shape = (crop, crop) if isinstance(crop, int) else crop
        findings = check_data(
            self.data.train, self.data.val, self.data.labelled_names, shape, resize=self.config.data.resize, quick=True
        )
        errors = [f for f in findings if f.level == "error"]
        if errors:
            more = f" ({len(errors) - 1} more; `semiseg data check` lists them)" if len(errors) > 1 else ""
            raise SemisegError(f"{errors[0].where}: {errors[0].message}; {errors[0].mend}{more}")

    def _finish(self, seconds: float) -> RunResult:
        """Write ``evaluation.json``: last and best student, and the teacher where there is one."""
        results = self.results
        if "last" not in results:  # a run that was already finished
            results["last"] = validate(self.method.student, self.data.val, self.config, self.device)
        if "best" not in results:  # found before a resume
            best = checkpoint.load_model(self.best, device=self.device)
            results["best"] = validate(best.network, self.data.val, self.config, self.device)
        if self.method.needs_teacher:
            results["last_teacher"] = validate(self.method.teacher, self.data.val, self.config, self.device)
        summary = {name: result.to_json() for name, result in results.items()} | {
            "best_iteration": self.best_iteration,
            "iterations": self.iteration,
            "labelled": len(self.data.labelled),
            "seconds": round(seconds, 1),
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
        }
        (self.run_dir / "evaluation.json").write_text(json.dumps(summary, indent=1))
        return RunResult(
            self.run_dir, 100 * results["best"].miou, 100 * results["last"].miou, self.best_iteration, seconds
        )


def _value(config: Config, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value
