"""The runs of a comparison on one data set: a method's, the supervised ones beside it, and the ratio of their steps.

A method is run once on each choice of labelled images, and up to three supervised runs on the same masks stand beside
it: as many ``steps`` of as many labelled crops; as many ``crops``, each step on as many labelled ones as the student of
the method sees in all, so that BatchNorm averages over as many; as many ``seconds``, its own batch for as many steps as
fit into the method's training time by the ratio of the two step times, measured once, alone.
"""

from __future__ import annotations

import datetime
import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.config.read import Config
from semiseg.cost.run import RunCount, count_run
from semiseg.cost.step import cost
from semiseg.data.run_data import open_split
from semiseg.data.splits.folds import FOLDS
from semiseg.errors import SemisegError, UsageError
from semiseg.experiments.comparison.curve import columns, schedule
from semiseg.experiments.comparison.data import Data
from semiseg.experiments.comparison.step_ratio import alone, step_times, training
from semiseg.experiments.comparison.table import supervised_steps
from semiseg.experiments.results import append, folder_name, read_results, run_once
from semiseg.methods import method_class
from semiseg.methods.base import Averaged
from semiseg.runtime.shell import command_line, path_word
from semiseg.runtime.version import machine, versions

EQUAL = ("steps", "crops", "seconds")
PAPER = "method.profile=paper"
"""What rows of methods under their own papers' settings hold in ``words``."""


class Comparison:
    """The runs of one data set: which there are, and what starts them.

    Args:
        name: what its rows call it.
        data: the data set.
        results: result file.
        work: folder of the runs in progress.
        root: folder of the data set; None: the environment says it.
        iterations: steps of a semi-supervised run; None: as ``data`` has it.
        stages: ``method.stages`` of the semi-supervised runs.
        extra: words of the semi-supervised runs alone, for a variant of a method; its rows name them in ``words``.
        typed: the command that makes these runs, for the rows of step times.
        recipes: by method, words of its own paper; rows say so in ``words``. None where all share what these set.
        failures: file in which several processes share which runs have failed; None: by itself.

    Attributes:
        failed: runs that ended with an error, and its line; the others still run.

    Raises:
        UsageError: the data set needs a folder that neither ``root`` nor the environment gives.
    """

    def __init__(
        self, name: str, data: Data, results: Path, work: Path, root: str | None, iterations: int | None,
        stages: float = 0.0, extra: Sequence[str] = (), typed: str = "semiseg compare",
        recipes: Mapping[str, Sequence[str]] | None = None, failures: Path | None = None,
    ) -> None:  # fmt: skip
        self.name, self.data, self.results, self.work, self.stages = name, data, results, work, stages
        self.extra, self.typed, self.recipes, self.failures = extra, typed, recipes or {}, failures
        self.named = [*extra, *([PAPER] if recipes is not None else [])]
        self.failed: list[tuple[str, str]] = []
        self.iterations = iterations or data.iterations
        root = root or (os.environ.get(data.root) if data.root else None)
        if data.root and not root:
            raise UsageError(f"{name} needs a folder; give --root FOLDER or set {data.root}")
        self.root = [f"data.root={root}"] if root else []
        self.counted: dict[str, RunCount] = {}
        self.known_classes: int | None = None

    def words(self, method: str, labelled: str, split: int, iterations: int, batch: int | None = None) -> list[str]:
        """All that differs from the preset, but for the folder."""
        return [
            *self.data.words, *([f"data.options.fold={split % FOLDS}"] if self.data.folds else []),
            f"data.labelled={labelled}", f"data.split_seed={split}", f"training.seed={split}", f"method.name={method}",
            *([f"method.{method}.average=true"] if issubclass(method_class(method), Averaged) else []),
            *([f"method.stages={self.stages}"] if self.stages and method != "supervised" else []),
            *([f"training.batch_size={batch}"] if batch else []), *schedule(iterations),
            *(self.extra if method != "supervised" else ()), *self.recipes.get(method, ()),
        ]  # fmt: skip

    def command(self, words: list[str]) -> str:
        """What to type for a run; a folder that the environment gives stands there as its variable."""
        folder = f" data.root=${self.data.root}" if self.data.root else ""
        return command_line(["semiseg", "train", path_word(self.data.preset), *words]) + folder

    def config(self, method: str, labelled: str, split: int) -> Config:
        """Of a method's own run, or of supervised with as many steps."""
        return Config.load(self.data.preset, [*self.words(method, labelled, split, self.iterations), *self.root])

    def joint_batch(self, method: str, labelled: str) -> int:
        """Crops that a step of the method trains on, labelled and unlabelled in all views."""
        return self.count(method, labelled).crops

    def beside(self, methods: list[str], labelled: str) -> list[int]:
        """``training.batch_size`` of the supervised runs at equal crops: those of a joint batch, part by part of it."""
        parts = {m: self.config(m, labelled, 0).training.accumulation for m in methods}
        return sorted({self.joint_batch(m, labelled) // parts[m] for m in methods})

    def has_rounds(self, method: str, labelled: str) -> bool:
        """Whether its steps change from round to round, so that no one of them says how long a run takes."""
        return self.count(method, labelled).rounds > 1

    def count(self, method: str, labelled: str) -> RunCount:
        """What a run of the method is made of."""
        if method not in self.counted:
            config = self.config(method, labelled, 0)
            self.counted[method] = count_run(config, self.classes(config))
        return self.counted[method]

    def run(self, equal: str, method: str, labelled: str, split: int, iterations: int, batch: int | None) -> None:
        """One training, unless its row is there or another process is at it."""
        words = self.words(method, labelled, split, iterations, batch)
        config = Config.load(self.data.preset, [*words, *self.root])
        supervised = RunCount(config.training.batch_size * config.training.accumulation)
        count = supervised if method == "supervised" else self.count(method, labelled)
        key: dict[str, Any] = {
            "data": self.name, "method": method, "labelled": int(labelled) if labelled.isdigit() else labelled,
            "split_seed": split, "equal": equal, "iterations": iterations, "crops": count.all_crops(iterations),
        }  # fmt: skip
        key |= self.variant(method)
        if count.first_stage:
            key |= {"first_stage": count.first_stage, "crops_a_step": count.crops}

        again = folder_name("-".join([Path(self.name).name, *self.named, method, labelled, str(split), equal]))

        def more(run_dir: Path) -> dict[str, Any]:
            if method != "supervised" and self.step_time(method, labelled) is None:  # a step is to be timed
                shutil.copy(run_dir / "checkpoints" / "last.pt", self.state(method))
            return columns(run_dir) | self.cost(config, iterations, count)

        name = f"{method}, {labelled} masks, split {split}, equal {equal}"
        if known := self.failure(name):  # a process beside this one has tried
            self.failed.append((name, known))
            return
        with training(self.work):
            try:
                run_once(
                    self.results, key, self.data.preset, [*words, *self.root], self.work,
                    command=self.command([*words, f"run_dir=runs/{again}"]), columns=more,
                )  # fmt: skip
            except SemisegError as error:  # hours of other runs must not wait for it
                self.failed.append((name, str(error)))
                if self.failures is not None:
                    append(self.failures, {"run": name, "reason": str(error)})

    def failure(self, name: str) -> str | None:
        """The reason for which a run has failed in another process that shares the runs."""
        rows = read_results(self.failures) if self.failures is not None else []
        return next((row["reason"] for row in rows if row["run"] == name), None)

    def cost(self, config: Config, iterations: int, count: RunCount) -> dict[str, int]:
        """What a run computes: crops that its student learnt from, FLOPs, and bytes that a step needs at least."""
        t = config.training
        found = cost(config, self.classes(config))
        labelled = t.batch_size * t.accumulation * iterations
        first, first_flops = found.first_stage
        return {
            "labelled_crops": labelled, "unlabelled_crops": count.all_crops(iterations) - labelled,
            "flops": t.accumulation * (first * first_flops + (iterations - first) * found.step_flops),
            "memory_bytes": found.memory_total,
        }  # fmt: skip

    def classes(self, config: Config) -> int:
        """C, of the data set as it lies there."""
        if self.known_classes is None:
            self.known_classes = open_split(config.data, "train").info.num_classes
        return self.known_classes

    def typed_words(self) -> list[str]:
        """The options that made this variant."""
        return [part for word in self.extra for part in ("--words", shlex.quote(word))]

    def variant(self, method: str) -> dict[str, str | None]:
        """The column of rows of a variant; None, as in rows without the column, for the method as it is."""
        return {} if method == "supervised" else {"words": " ".join(self.named) or None}

    def state(self, method: str) -> Path:
        """Where the last state of a method's first run is kept until its step has been timed."""
        of = "-".join([self.name, method, str(self.iterations), *self.named])
        return self.work / f"{folder_name(of)}.pt"

    def step_time(self, method: str, labelled: str) -> dict[str, Any] | None:
        """The row with the ratio of step times, once it has been measured."""
        crops = self.joint_batch(method, labelled)
        key = {"data": self.name, "method": method, "equal": "step_time", "crops_a_step": crops, **self.variant(method)}
        return next((r for r in read_results(self.results) if all(r.get(k) == v for k, v in key.items())), None)

    def measure_step(self, method: str, labelled: str) -> None:
        """Time the method's step against the supervised one, if a finished run has left its state."""
        if self.step_time(method, labelled) is not None or not self.state(method).exists():
            return
        if self.has_rounds(method, labelled):
            self.state(method).unlink(missing_ok=True)
            return
        with alone(self.work):
            if self.step_time(method, labelled) is None:  # another process may have waited before this one
                config, supervised = (self.config(name, labelled, 0) for name in (method, "supervised"))
                row = {
                    "data": self.name, "method": method, "labelled": None, "split_seed": None, "equal": "step_time",
                    "crops_a_step": self.joint_batch(method, labelled), **self.variant(method),
                    **step_times(config, supervised, self.state(method)),
                    **({"rounded_up_to": shared} if (shared := self.data.shared_seconds) > 1 else {}),
                    "command": " ".join([self.typed, "--methods", method, *self.typed_words()]),
                    "date": datetime.date.today().isoformat(), "machine": machine(), "versions": versions(),
                }  # fmt: skip
                append(self.results, row)
            self.state(method).unlink(missing_ok=True)

    def run_all(self, methods: list[str], labelled: list[str], splits: list[int], equal: list[str]) -> None:
        """Everything that is missing; what needs a step time comes last.

        ``all`` beside numbers is the upper bound, ``supervised`` on every mask; by itself it is what is compared on.
        """
        few = [count for count in labelled if count != "all"] or labelled
        jobs = [(count, split) for count in few for split in splits]
        for count, split in jobs:
            for method in methods:
                self.run("steps", method, count, split, self.iterations, None)
                self.measure_step(method, count)
            if "steps" in equal:
                self.run("steps", "supervised", count, split, self.iterations, None)
            for batch in self.beside(methods, count) if "crops" in equal else ():
                self.run("crops", "supervised", count, split, self.iterations, batch)
        for split in splits if "all" in labelled and "all" not in few else ():
            for batch in self.beside(methods, "all"):
                self.run("crops", "supervised", "all", split, self.iterations, batch)
        for count, split in jobs if "seconds" in equal else ():
            for method in methods:
                self.run_equal_seconds(method, count, split)

    def run_equal_seconds(self, method: str, labelled: str, split: int) -> None:
        """Supervised for as long as the method's run, or a line that says what is missing."""
        self.measure_step(method, labelled)
        time = self.step_time(method, labelled)
        if time is None:
            reason = (
                f"{method} trains in rounds whose steps differ; it is compared at equal steps and crops only"
                if self.has_rounds(method, labelled)
                else f"the step of {method} is not timed yet; run this again when a run of {method} has ended (if none "
                f"is going on, remove one of its rows from {self.results})"
            )
            print(f"{self.name}: {reason}", file=sys.stderr, flush=True)
            return
        steps = supervised_steps(time, self.iterations, self.count(method, labelled).first_stage)
        self.run("seconds", "supervised", labelled, split, steps, None)
