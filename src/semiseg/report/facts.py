"""What a report knows of a run: read from its folder, never written to it, whatever part of it is there."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semiseg.class_balance import class_weights
from semiseg.config.read import Config
from semiseg.data.splits.lists import ANY_NAME
from semiseg.errors import SemisegError, UsageError
from semiseg.methods.base import Needs, StoredVectors
from semiseg.methods.base.bank import method_of
from semiseg.runs import checkpoint
from semiseg.runs.edited import as_edited
from semiseg.runs.metrics import read_metrics
from semiseg.runtime.plugins import method_class


@dataclass(frozen=True)
class Score:
    """One evaluation: the network it is of, at which iteration, and its figures as ``EvaluationResult.to_json``."""

    iteration: int
    values: dict[str, Any]

    @property
    def miou(self) -> float | None:
        """In percent; None where no class could be measured."""
        value = self.values.get("miou")
        return None if value is None else 100 * value

    @property
    def iou(self) -> list[float | None]:
        """(C,) in percent, None for a class that is neither true nor predicted."""
        return [None if value is None else 100 * value for value in self.values["iou"]]


@dataclass
class RunFacts:
    """A run folder as far as it can be read. ``remarks`` say in one line each what could not."""

    name: str
    path: Path
    config: Config
    number: int = 0  # among the runs of a report: its colour and dash in every chart
    classes: tuple[str, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()
    iteration: int = 0
    labelled: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    scores: dict[str, Score] = field(default_factory=dict)  # last, best, last_teacher as far as known
    bank: StoredVectors | None = None
    class_counts: list[float] = field(default_factory=list)
    class_weights: list[float] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)  # what evaluation.json says beside the scores
    checkpoint: Path | None = None
    remarks: list[str] = field(default_factory=list)

    @property
    def method(self) -> str:
        return self.config.method.name

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the losses that its method returns."""
        names: tuple[str, ...] = method_of(self.config).terms
        return names

    @property
    def semi_supervised(self) -> bool:
        needs: Needs = method_class(self.method).needs
        return needs.unlabelled

    @property
    def makes_pseudo_labels(self) -> bool:
        """Whether a teacher labels unlabelled images, so that their quality can be watched."""
        return self.semi_supervised and bool(method_class(self.method).keeps_teacher)

    @property
    def finished(self) -> bool:
        return self.iteration >= self.config.training.iterations

    @property
    def seconds(self) -> float | None:
        """Of the whole run by its summary, else until its last validation; None where neither says it."""
        seconds: float | None = self.summary.get("seconds")
        if seconds is None and (validations := self.kind("validation")):
            seconds = validations[-1].get("seconds")
        return seconds

    def kind(self, kind: str) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl of one kind: train, validation or pseudo_labels."""
        return [row for row in self.rows if row.get("kind") == kind]


def read_run(path: str | Path, name: str = "") -> RunFacts:
    """Read a run folder; only config.yaml must be there.

    Raises:
        UsageError: not a run folder, a configuration that this version cannot read, or one that was edited in what a
            run cannot change.
    """
    path = Path(path)
    if not (path / "config.yaml").is_file():
        found = "a file" if path.is_file() else "a folder without config.yaml" if path.is_dir() else "nothing"
        raise UsageError(f"{path} is no run folder (found {found}); give the run_dir of a training")
    run = RunFacts(name or path.resolve().name, path, Config.load(path / "config.yaml"))
    run.rows = read_metrics(path)
    run.iteration = max((row["iteration"] for row in run.rows), default=0)
    labelled = path / "labelled.txt"
    run.labelled = labelled.read_text(encoding="utf-8", errors=ANY_NAME).splitlines() if labelled.is_file() else []
    _read_scores(run)
    _read_checkpoint(run)
    if not run.finished:
        whole = run.config.training.iterations
        run.remarks.append(f"Interrupted or still running: {run.iteration} of {whole} iterations are logged.")
    if not run.classes and run.scores:
        run.classes = tuple(next(iter(run.scores.values())).values["classes"])
    return run


def read_runs(paths: list[str] | list[Path]) -> list[RunFacts]:
    """Read several run folders, each once, under the shortest names that tell them apart.

    Raises:
        UsageError: no folder given, or one that is no run.
    """
    folders = list(dict.fromkeys(Path(path).resolve() for path in paths))
    if not folders:
        raise UsageError("no run given; give one or several run folders")
    given = {Path(path).resolve(): Path(path) for path in paths}
    runs = [read_run(given[folder], name) for folder, name in zip(folders, _names(folders), strict=True)]
    for number, run in enumerate(runs):
        run.number = number
    return runs


def _names(folders: list[Path]) -> list[str]:
    depth = 1
    while True:
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
        depth += 1


def _read_scores(run: RunFacts) -> None:
    """From evaluation.json; where a run has not come so far, from what its validations wrote."""
    path = run.path / "evaluation.json"
    validations = run.kind("validation")
    if validations:
        best = max(validations, key=lambda row: -1.0 if _number(row["miou"]) is None else row["miou"])
        for name, row in (("last", validations[-1]), ("best", best)):
            values = {key: row[key] for key in ("iou", "confusion", "classes", "images")}
            # The log holds mIoU in percent, the summary a fraction.
            miou = _number(row["miou"])
            run.scores[name] = Score(row["iteration"], values | {"miou": None if miou is None else miou / 100})
    if not path.is_file():
        return
    try:
        run.summary = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        run.remarks.append(f"evaluation.json cannot be read ({error}); figures are those of the log.")
        return
    at = {"best": run.summary.get("best_iteration", 0)}
    for name in ("last", "best", "last_teacher"):
        if name in run.summary:
            run.scores[name] = Score(at.get(name, run.summary.get("iterations", 0)), run.summary.pop(name))
    run.iteration = max(run.iteration, run.summary.get("iterations", 0))


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _read_checkpoint(run: RunFacts) -> None:
    folder = run.path / "checkpoints"
    path = next((file for file in (folder / "last.pt", folder / "best.pt") if file.is_file()), None)
    if path is None:
        run.remarks.append("No checkpoint: nothing about the bank and the class weights, no pictures.")
        return
    try:
        state = checkpoint.load(path)
    except SemisegError as error:
        run.remarks.append(f"{error}. Nothing about the bank and the class weights, no pictures.")
        return
    as_edited(path, Config.parse(state["config"], source=str(path)))
    run.checkpoint = path
    if path.name == "best.pt":
        run.remarks.append("No last.pt yet: pictures, bank and class weights are those of the best checkpoint.")
    run.iteration = max(run.iteration, state["iteration"])
    run.classes = tuple(state["info"]["classes"])
    run.colours = tuple(tuple(colour) for colour in state["info"]["colours"])
    method = state["method"]
    if "counts.counts" in method:
        counts = method["counts.counts"]
        run.class_counts, run.class_weights = counts.tolist(), class_weights(counts).tolist()
    run.bank = method_of(run.config).stored_vectors(method)
