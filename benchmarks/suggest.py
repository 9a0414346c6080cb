"""Does ``semiseg suggest`` choose better than chance? A run with 12 masks, then 12 more: chosen or drawn.

    SEMISEG_NUCLEI=FOLDER python benchmarks/suggest.py --data nuclei          # five runs a split, two minutes each
    SEMISEG_DATA=FOLDER python benchmarks/suggest.py --data camvid_folds
    python benchmarks/suggest.py --data toy_streets                           # needs nothing
    python benchmarks/suggest.py --data nuclei --most 1                       # one missing run, then end
    python benchmarks/suggest.py --table                                      # only the tables of what is there

All arms of a split start from the same run with 12 masks (``start``). Then each trains anew, as long and from the same
pretrained weights, with 12 more: ``random`` ones drawn by the seed; those of the highest ``uncertainty`` as they come
(``--by uncertainty --no-diverse``); ``diverse`` ones (``--by uncertainty``: k-means among the uncertain ones, no scene
twice); those of ``coverage`` (``--by coverage``: typical of groups without a mask). On ``camvid_folds`` split s is fold
s mod 3, whose training images are frames of three drives. The method is fixmatch, the settings are the preset's in
short, and nothing is tuned on these splits. ``curve`` holds ``[training seconds, iteration, mIoU]``.

Rows with the choice ``suggested`` are of the first version of the command, six masks at a time on toy streets.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from semiseg import Config
from semiseg.data.run_data import RunData, open_run_data
from semiseg.data.splits.folds import FOLDS
from semiseg.data.splits.lists import read_list, write_list
from semiseg.experiments.comparison.curve import columns
from semiseg.experiments.comparison.data import Data
from semiseg.experiments.results import mean_sd, read_results, run_once, table
from semiseg.suggest import By, suggest

RESULTS = Path(__file__).parent / "results" / "suggest.json"
FIRST = MORE = 12
ARMS: dict[str, tuple[By, bool]] = {
    "uncertainty": ("uncertainty", False), "diverse": ("uncertainty", True), "coverage": ("coverage", True),
}  # fmt: skip
SMALL = ("data.workers=0", "data.cache=true", "training.validate_teacher=false", "method.name=fixmatch")
CHOICES = ("random", *ARMS)
DATA = {
    "nuclei": Data("folder", 200, ("12",), ("data.crop=64", *SMALL), "SEMISEG_NUCLEI"),
    "camvid_folds": Data("camvid", 200, ("12",), ("data.crop=96", "data.resize=[180, 240]", *SMALL), folds=True),
    "toy_streets": Data("toy_streets", 480, ("12",)),
}


class Split:
    """The runs of one data set and one split.

    Args:
        name: of the data set, a key of ``DATA``.
        seed: of the first 12 masks, of the random ones, and of training.
        work: folder of the runs and of the lists of names.
        results: result file.
    """

    def __init__(self, name: str, seed: int, work: Path, results: Path) -> None:
        self.name, self.seed, self.results = name, seed, results
        self.data, self.work = DATA[name], work / name
        steps = self.data.iterations
        self.words = [
            *self.data.words, *([f"data.options.fold={seed % FOLDS}"] if self.data.folds else []),
            f"training.seed={seed}", f"training.iterations={steps}", f"training.validate_every={-(-steps // 2)}",
            f"training.checkpoint_every={-(-steps // 2)}",
        ]  # fmt: skip
        if self.data.root:
            self.words.append(f"data.root={os.environ[self.data.root]}")

    def drawn(self) -> RunData:
        """The data with the first masks, drawn by the seed."""
        words = [f"data.labelled={FIRST}", f"data.split_seed={self.seed}"]
        return open_run_data(Config.load(self.data.preset, [*self.words, *words]).data)

    def run(self, arm: str, names: list[str]) -> dict | None:
        """Train with these masks unless that is done; None where another process is at it."""
        listed = self.list_of(arm)
        if not listed.exists():
            listed.parent.mkdir(parents=True, exist_ok=True)
            write_list(listed, names)
        key = {"data": self.name, "choice": arm, "masks": len(names), "split_seed": self.seed}
        words = [*self.words, f"data.labelled_list={listed}", "data.labelled=all"]
        command = f"python benchmarks/suggest.py --data {self.name} --splits {self.seed}"
        return run_once(
            self.results, key, self.data.preset, words, self.work, keep=arm == "start", command=command, columns=columns
        )

    def list_of(self, arm: str) -> Path:
        """Where the names of an arm's masks are kept, so that a run broken off goes on with the same."""
        return self.work / "lists" / f"{arm}-{self.seed}.txt"

    def chosen(self, arm: str, data: RunData) -> list[str]:
        """The names that an arm trains with."""
        first, everything = data.labelled_names, list(data.train.names)
        if self.list_of(arm).exists():
            return read_list(self.list_of(arm), everything)
        if arm == "random":
            left = sorted(set(everything) - set(first))
            return first + list(np.random.default_rng([self.seed, 1]).choice(left, MORE, replace=False))
        start = self.work / f"{self.name}-start-{FIRST}-{self.seed}"
        by, diverse = ARMS[arm]
        return first + [s.name for s in suggest(start, MORE, by, diverse)]

    def missing(self) -> list[str]:
        """Arms that have no row yet, the start first."""
        there = {
            row["choice"]
            for row in read_results(self.results)
            if (row["data"], row["split_seed"]) == (self.name, self.seed) and row["masks"] in (FIRST, FIRST + MORE)
        }
        folder = self.work / f"{self.name}-start-{FIRST}-{self.seed}"
        ranked = all(arm == "random" or self.list_of(arm).exists() for arm in CHOICES if arm not in there)
        again = [] if "start" in there and (ranked or folder.exists()) else ["start"]
        return again + [arm for arm in CHOICES if arm not in there]


def run_split(split: Split, most: int | None) -> int:
    """Train what is missing of a split, at most so many runs; returns how many."""
    done = 0
    for arm in split.missing():
        if most is not None and done >= most:
            break
        data = split.drawn()
        names = data.labelled_names if arm == "start" else split.chosen(arm, data)
        if split.run(arm, names) is None:
            break
        done += 1
    return done


def gains(rows: list[dict]) -> str:
    """For every data set and arm beside ``random``: the difference to it, mean ± sd over the splits, and one by one."""
    lines = []
    by = {(r["data"], r["choice"], r["split_seed"]): r["miou_last"] for r in rows if r["masks"] == FIRST + MORE}
    for name in dict.fromkeys(data for data, _, _ in by):
        for arm in dict.fromkeys(arm for data, arm, _ in by if data == name and arm != "random"):
            pairs = [(s, by[name, arm, s] - by[name, "random", s])
                     for d, a, s in sorted(by) if (d, a) == (name, arm) and (name, "random", s) in by]  # fmt: skip
            each = " · ".join(f"{value:+.1f}" for _, value in pairs)
            lines.append(f"{name}, {arm} - random: {mean_sd(value for _, value in pairs)} ({each})")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=list(DATA), default="toy_streets")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-suggest"), help="folder for the runs")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--splits", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--most", type=int, help="end after so many new runs")
    parser.add_argument("--table", action="store_true", help="run nothing")
    given = parser.parse_args(arguments)
    root = DATA[given.data].root
    if not given.table and root and root not in os.environ:
        parser.error(f"{given.data} needs its folder: set {root}")
    done = 0
    for seed in [] if given.table else given.splits:
        left = None if given.most is None else given.most - done
        done += run_split(Split(given.data, seed, given.work, given.results), left)
    rows = read_results(given.results)
    print(table(rows, ("data", "choice", "masks")))
    print(gains(rows))


if __name__ == "__main__":
    main()
