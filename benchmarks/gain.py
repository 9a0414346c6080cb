"""What unlabelled images bring: every semi-supervised method beside ``supervised`` on equal terms.

    python benchmarks/gain.py                                    # toy streets, splits 1, 2, 3
    SEMISEG_NUCLEI=FOLDER python benchmarks/gain.py --data nuclei --labelled 12
    SEMISEG_DATA=FOLDER python benchmarks/gain.py --data camvid_folds
    OMP_NUM_THREADS=1 … in two shells                            # two processes of one thread share the runs
    python benchmarks/gain.py --data toy_streets,nuclei --table  # only the tables of what is there

A method is run once, and three supervised runs on the same masks stand beside it:

- equal ``steps``: as many steps, each on as many labelled crops.
- equal ``crops``: as many steps, each on as many labelled crops as the student of the method sees crops in all, so that
  BatchNorm averages over as many.
- equal ``seconds``: its own labelled batch for as many steps as fit into the method's training time. The ratio of the
  two step times is measured once, alone, and is a row of its own with ``equal`` = ``step_time``.
  With ``--stages`` the supervised steps of the first stage count as what they are.

Supervised and ``joint_statistics`` keep the average of their weights, so that a teacher is compared with an average.
``--words method.memory_bank.weights.contrastive=0`` runs a variant of a method, whose rows name the words; the
supervised runs beside it are the same wherever crops and step times agree. A method's own rows say ``steps``, though
they are compared with all three. Rows of ``supervised`` with ``labelled`` = ``all`` are the upper bound: every mask,
and the method's number of crops. ``crops`` counts what the student was trained on during the run. ``seconds`` is the
run from start to end, with its validations and beside whatever else ran; ``curve`` holds
``[training seconds, iteration, mIoU]``. On ``camvid_folds`` split s is fold s mod 3.
Split 0 of toy streets is left out unless asked for: settings were chosen on it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from semiseg import Config
from semiseg.errors import SemisegError
from semiseg.experiments.comparison.data import Data
from semiseg.experiments.comparison.runs import EQUAL, Comparison
from semiseg.experiments.comparison.table import report
from semiseg.experiments.results import read_results

RESULTS = Path(__file__).parent / "results" / "gain.json"
DATA = {
    # 480 steps, the preset's own, end long before either method has converged (NOTES.md, "Four times the steps").
    "toy_streets": Data("toy_streets", 1920, ("12", "all")),
    # Crops of 128 show a few nuclei of each kind of microscope; 12 and 43 masks are 1/36 and 1/10. Supervised has
    # converged after 250 steps (tuning.txt). One process and images kept in memory: no run waits for another's loaders.
    "nuclei": Data(
        "folder", 500, ("12", "43", "all"), ("data.crop=128", "data.workers=0", "data.cache=true"), "SEMISEG_NUCLEI"
    ),
    # 12 masks are what the preset's 1/30 is of SegNet's 367 images; a fold trains on about 230.
    "camvid_folds": Data("camvid", 1000, ("12", "all"), folds=True),
}


def words_of(text: str) -> list[str]:
    """``a,b`` → ``[a, b]``."""
    return [word.strip() for word in text.split(",") if word.strip()]


def numbers(text: str) -> list[int]:
    """``0,1`` → ``[0, 1]``."""
    return [int(word) for word in words_of(text)]


def default_methods() -> list[str]:
    """The library's default and the paper's own, which may be the same."""
    return list(dict.fromkeys([Config().method.name, "memory_bank"]))


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=words_of, default=["toy_streets"], help=", ".join(DATA))
    parser.add_argument("--root", help="folder of the data set, where it is not toy streets")
    parser.add_argument("--methods", type=words_of, default=default_methods(), help="supervised is always there")
    parser.add_argument("--labelled", type=words_of, help="numbers of masks; all beside them: the upper bound")
    parser.add_argument("--splits", type=numbers, default=[1, 2, 3], help="split 0 chose settings")
    parser.add_argument("--equal", type=words_of, default=list(EQUAL), help=", ".join(EQUAL))
    parser.add_argument("--iterations", type=int, help="steps of a semi-supervised run")
    parser.add_argument("--stages", type=float, default=0.0, help="method.stages of the semi-supervised runs")
    parser.add_argument(
        "--words", action="append", default=[], help="KEY=VALUE of the semi-supervised runs; may be repeated"
    )
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-gain"), help="runs in progress")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="run nothing")
    given = parser.parse_args(arguments)
    for option, values, known in (("--data", given.data, DATA), ("--equal", given.equal, EQUAL)):
        if unknown := [value for value in values if value not in known]:
            parser.error(f"{option} {unknown[0]}: choose from {', '.join(known)}")
    if given.root and len(given.data) > 1:
        parser.error("--root goes with one data set; give --data NAME, or set the environment variables")
    methods = [method for method in given.methods if method != "supervised"]
    try:
        for name in [] if given.table else given.data:
            comparison = Comparison(
                name, DATA[name], given.results, given.work, given.root, given.iterations, given.stages, given.words,
                f"python benchmarks/gain.py --data {name}",
            )  # fmt: skip
            comparison.run_all(methods, given.labelled or list(DATA[name].labelled), given.splits, given.equal)
            for run, reason in comparison.failed:
                print(f"{name}: {run} failed: {reason}", file=sys.stderr)
    except SemisegError as error:
        parser.exit(1, f"{error}\n")
    print(report([row for row in read_results(given.results) if row["data"] in given.data]))


if __name__ == "__main__":
    main()
