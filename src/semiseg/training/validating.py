"""What happens at a validation: figures, pictures, pseudo-label quality, the best checkpoint and the plateau."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from semiseg.config.read import Config
from semiseg.data.run_data import RunData
from semiseg.evaluation.confusion import EvaluationResult
from semiseg.evaluation.pseudo_label_quality import pseudo_label_quality, watched_images
from semiseg.evaluation.validation import validate, validation_pictures
from semiseg.methods.base import Method
from semiseg.runs import checkpoint
from semiseg.runtime import distributed
from semiseg.training.journal import MetricsLog

FAR_BEHIND = 3.0  # points of mIoU; below that it may be noise


class Validator:
    """Validates the first learner of a method and remembers where it was best.

    Args:
        config, data: of the run.
        method: on ``device``.
        best_path: where the best weights go.
    """

    def __init__(self, config: Config, data: RunData, method: Method, device: torch.device, best_path: Path) -> None:
        self.config, self.data, self.method, self.device, self.best_path = config, data, method, device, best_path
        self.miou, self.iteration, self.stale = -math.inf, 0, 0  # best mIoU in percent, where, validations since
        self.said: list[list[str]] = []  # beginnings of remarks
        self.results: dict[str, EvaluationResult] = {}  # of this process: last and best
        self.watched = watched_images(data) if method.keeps_teacher and method.needs.unlabelled else []

    @property
    def learner(self) -> torch.nn.Module:
        """The network that is validated, reported and exported."""
        return next(iter(self.method.learners().values()))

    def validate(self, iteration: int, seconds: float, log: MetricsLog | None, save_best: Callable[[], None]) -> float:
        """Validate after ``iteration`` steps; returns mIoU in percent."""
        result = validate(self.learner, self.data.val, self.config, self.device)
        self.method.train()
        self.results["last"] = result
        miou = 100 * result.miou
        if log is not None:
            measures = self.method.measures()
            facts = {"miou": miou, "seconds": round(seconds, 1)} | measures
            log.write("validation", iteration, result.to_json() | facts)
            self._say(self.method.remarks(measures))
            if log.loggers:
                log.pictures(iteration, validation_pictures(self.learner, self.data.val, self.config, self.device))
        self._watch(iteration, log)
        if miou > self.miou:
            self.miou, self.iteration, self.stale = miou, iteration, 0
            self.results["best"] = result
            save_best()
        else:
            self.stale += 1
            self._leave_plateau(iteration)
        if iteration == self.method.first_stage:
            self.stale = 0  # the rate rises again, and the mIoU may well fall before it passes this one
        return miou

    def finish(self) -> dict[str, EvaluationResult]:
        """Last and best of the learner and last of the teacher, measured where they were not yet."""
        if "last" not in self.results:  # a run that was already finished
            self.results["last"] = validate(self.learner, self.data.val, self.config, self.device)
        if "best" not in self.results:  # found before a resume
            best = checkpoint.load_model(self.best_path, device=self.device)
            self.results["best"] = validate(best.network, self.data.val, self.config, self.device)
        if self.method.teacher is not None:
            self.results["last_teacher"] = validate(self.method.teacher, self.data.val, self.config, self.device)
            behind = 100 * (self.results["last"].miou - self.results["last_teacher"].miou)
            if behind > FAR_BEHIND and distributed.is_main():
                self._say([
                    f"the teacher ends {behind:.1f} points of mIoU behind its student, so late pseudo-labels were "
                    "worse than the student's own; a shorter memory (method.teacher.half_life=0.02) follows faster"
                ])  # fmt: skip
        return self.results

    def _say(self, remarks: list[str]) -> None:
        """Print what was not said before: a remark repeats with other figures at every validation."""
        for remark in remarks:
            beginning = remark.split()[:3]
            if beginning not in self.said:
                self.said.append(beginning)
                print(f"semiseg: {remark}", file=sys.stderr, flush=True)

    def _watch(self, iteration: int, log: MetricsLog | None) -> None:
        if not self.watched or self.method.teacher is None:
            return
        quality = pseudo_label_quality(self.method.teacher, self.data.train, self.watched, self.config, self.device)
        if log is not None:
            log.write("pseudo_labels", iteration, quality)

    def _leave_plateau(self, iteration: int) -> None:
        """Load the best weights again after ``training.plateau_patience`` validations (authors' code)."""
        patience = self.config.training.plateau_patience
        # What a stage ends with is what was measured: last.pt, and what the next stage starts from.
        ends = iteration in (self.method.first_stage, self.config.training.iterations)
        if patience is not None and self.stale >= patience and not ends:
            self.method.load_state_dict(checkpoint.load(self.best_path, self.device)["method"])
            self.stale = 0
