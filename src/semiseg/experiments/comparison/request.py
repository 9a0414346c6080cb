"""What is to be compared, as plain values, and the runs that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semiseg.config.read import Config
from semiseg.experiments.comparison.data import Data
from semiseg.experiments.comparison.runs import Comparison

SETTINGS = "settings.yaml"
RESULTS = "compare.json"


@dataclass(frozen=True)
class Request:
    """What is to be compared, as plain values that another process can be given.

    Attributes:
        source: a preset, a YAML file, or a folder.
        methods: names of semi-supervised methods; ``supervised`` always stands beside them.
        labelled: numbers of labelled images, or ``all``.
        seeds: of the runs and of their choices of labelled images.
        equal: of ``steps``, ``crops`` and ``seconds``.
        output: folder of results, of the settings that all runs share, and of runs in progress.
        recipes: by method, the words by which its own paper's settings stand over those; None under the profile equal.
        typed: the command that asks for these runs, but for the methods.
        failures: file of the runs that have failed in this call, which none of its processes tries again.
    """

    source: str
    methods: tuple[str, ...]
    labelled: tuple[str, ...]
    seeds: tuple[int, ...]
    equal: tuple[str, ...]
    output: Path
    recipes: dict[str, list[str]] | None = None
    typed: str = "semiseg compare"
    failures: Path | None = None

    def comparison(self) -> Comparison:
        """The runs that all of these share."""
        settings = self.output / SETTINGS
        config = Config.load(settings)
        data = Data(str(settings), config.training.iterations, self.labelled)
        results, work = self.output / RESULTS, self.output / "runs"
        return Comparison(self.source, data, results, work, None, None, typed=self.typed, recipes=self.recipes,
                          failures=self.failures)  # fmt: skip

    def run(self) -> list[tuple[str, str]]:
        """Every run that is missing and that no other process is at; those that failed, with the reason."""
        comparison = self.comparison()
        comparison.run_all(list(self.methods), list(self.labelled), list(self.seeds), list(self.equal))
        return comparison.failed
