"""What happens at a validation: figures, pictures, pseudo-label quality, words, the best checkpoint and the plateau."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from semiseg.config.read import Config
from semiseg.data.run_data import RunData
from semiseg.evaluation.confusion import EvaluationResult
from semiseg.evaluation.pseudo_label_quality import pseudo_label_quality, watched_images
from semiseg.evaluation.validation import validate, validation_pictures
from semiseg.methods.base import Method
from semiseg.runs import checkpoint
from semiseg.runs.metrics import read_metrics
from semiseg.runtime import distributed
from semiseg.training.advice.circumstances import circumstances
from semiseg.training.advice.history import history
from semiseg.training.advice.sentence import sentence
from semiseg.training.journal import MetricsLog, tell

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
        self.sentence: str | None = None  # on the last validation, in the first process
        self.results: dict[str, EvaluationResult] = {}  # of this process: last and best
        self.watched = watched_images(data) if method.keeps_teacher and method.needs.unlabelled else []

    def validate(self, iteration: int, seconds: float, log: MetricsLog | None, save_best: Callable[[], None]) -> float:
        """Validate after ``iteration`` steps; returns mIoU in percent, NaN where no validation image has any truth."""
        result = self._learner_now()
        teacher = self._validate_teacher() if self.config.training.validate_teacher else {}
        self.method.train()
        self.results["last"] = result
        miou = 100 * result.miou
        quality = self._watch()
        if log is not None:
            measures = self.method.measures()
            facts = result.to_json() | {"miou": miou, "seconds": round(seconds, 1)} | teacher | measures
            self._log(iteration, facts, quality, log)
            self._say(self.method.remarks(measures))
        unknown = math.isnan(miou)  # no pixel of the validation images has a label
        if miou > self.miou or (unknown and self.miou == -math.inf):  # the newest, until one is measured
            self.miou, self.iteration, self.stale = self.miou if unknown else miou, iteration, 0
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
            self.results["last"] = self._learner_now()
        if "best" not in self.results:  # found before a resume
            best = checkpoint.load_model(self.best_path, device=self.device)
            self.results["best"] = self._measure(best.network)
        if self.method.teacher is not None:
            if "last_teacher" not in self.results:
                self._validate_teacher()
            behind = 100 * (self.results["last"].miou - self.results["last_teacher"].miou)
            if behind > FAR_BEHIND and distributed.is_main():
                self._say([
                    f"the teacher ends {behind:.1f} points of mIoU behind its student, so late pseudo-labels were "
                    "worse than the student's own; a shorter memory (method.teacher.half_life=0.02) follows faster"
                ])  # fmt: skip
        return self.results

    def _learner_now(self) -> EvaluationResult:
        with self.method.predicting() as network:
            return self._measure(network)

    def _measure(self, network: torch.nn.Module) -> EvaluationResult:
        return validate(network, self.data.val, self.config, self.device, needs_truth=False)

    def _validate_teacher(self) -> dict[str, float | None]:
        """``teacher_miou`` in percent, None where no class could be measured; empty without a teacher."""
        if self.method.teacher is None:
            return {}
        result = self._measure(self.method.teacher)
        self.results["last_teacher"] = result
        return {"teacher_miou": None if math.isnan(result.miou) else 100 * result.miou}

    def _say(self, remarks: list[str]) -> None:
        """Print what was not said before: a remark repeats with other figures at every validation."""
        for remark in remarks:
            beginning = remark.split()[:3]
            if beginning not in self.said:
                self.said.append(beginning)
                tell(f"semiseg: {remark}")

    def _watch(self) -> dict[str, Any] | None:
        """Quality of the teacher's pseudo-labels; None without a teacher or images to watch."""
        if not self.watched or self.method.teacher is None:
            return None
        return pseudo_label_quality(self.method.teacher, self.data.train, self.watched, self.config, self.device)

    def _log(self, iteration: int, facts: dict[str, Any], quality: dict[str, Any] | None, log: MetricsLog) -> None:
        """The lines of metrics.jsonl, the first with its sentence, and pictures for those who show them."""
        new: list[tuple[str, dict[str, Any]]] = [("validation", facts)]
        new += [("pseudo_labels", quality)] if quality is not None else []
        rows = [{"kind": kind, "iteration": iteration, **values} for kind, values in new]
        known = history([*read_metrics(log.path.parent), *rows])
        if known is not None:
            self.sentence = sentence(known, circumstances(self.method, self.data, facts["images"]))
            facts["sentence"] = self.sentence
        for kind, values in new:
            log.write(kind, iteration, values)
        if log.loggers:
            with self.method.predicting() as network:
                log.pictures(iteration, validation_pictures(network, self.data.val, self.config, self.device))

    def _leave_plateau(self, iteration: int) -> None:
        """Load the best weights again after ``training.plateau_patience`` validations (authors' code)."""
        patience = self.config.training.plateau_patience
        # What a stage ends with is what was measured: last.pt, and what the next stage starts from.
        ends = iteration in (self.method.first_stage, self.config.training.iterations)
        if patience is not None and self.stale >= patience and not ends:
            self.method.load_state_dict(checkpoint.load(self.best_path, self.device)["method"])
            self.stale = 0
