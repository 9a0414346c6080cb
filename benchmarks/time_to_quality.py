"""mIoU after 1, 3, 10 and 30 minutes of training on this machine, beside a plain loop of PyTorch.

    python benchmarks/time_to_quality.py                  # toy streets, split 1: about three hours, nothing beside it
    python benchmarks/time_to_quality.py --minutes 1,3    # a quarter of an hour
    python benchmarks/time_to_quality.py --table          # only the table of what is there

Every budget is a run of its own whose schedule ends with it, since a rate that is annealed within the minutes does
better than a long run that is cut off. How many steps fit is taken from the speed of the budget before; the first
follows from a run of 40 steps (``minutes`` = 0). Minutes are those of steps and their crops: start, validations and
saving come on top, and ``curve`` has what the run really took. The data sets are those of ``gain.py``, with 12 masks.
``plain`` is ``plain_loop.py``.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
from pathlib import Path
from typing import Any

import plain_loop
from gain import DATA, default_methods, numbers, words_of

from semiseg import Config
from semiseg.errors import SemisegError
from semiseg.experiments.comparison.curve import columns, seconds_a_step
from semiseg.experiments.comparison.runs import Comparison
from semiseg.experiments.results import append, read_results, run_once
from semiseg.runtime.version import machine, versions

RESULTS = Path(__file__).parent / "results" / "time_to_quality.json"
LABELLED = "12"
PROBE = 40  # steps


class Clocked:
    """The runs of one method on one label split, each as long as its minutes.

    Args:
        comparison: data set, result file and work folder.
        method: a method's name, or ``plain``.
        split: seed of the label split and of the training.
    """

    def __init__(self, comparison: Comparison, method: str, split: int) -> None:
        self.comparison, self.method, self.split = comparison, method, split

    def run_all(self, budgets: list[float]) -> None:
        """The probe, then each budget with the speed of the one before; rows that are there are taken."""
        row = self.run(0, PROBE)
        for minutes in sorted(budgets):
            if row is None:
                return  # another process is at it, and the speed is not known
            row = self.run(minutes, max(1, round(60 * minutes / seconds_a_step(row))))

    def run(self, minutes: float, iterations: int) -> dict[str, Any] | None:
        """One training, unless its row is there."""
        c = self.comparison
        key = {
            "data": c.name, "method": self.method, "labelled": int(LABELLED), "split_seed": self.split,
            "equal": "minutes", "minutes": minutes,
        }  # fmt: skip
        if self.method == "plain":
            found = [row for row in read_results(c.results) if key.items() <= row.items()]
            return found[0] if found else self.run_plain(key, iterations)
        words = c.words(self.method, LABELLED, self.split, iterations)
        return run_once(
            c.results, key, c.data.preset, [*words, *c.root], c.work, command=c.command(words), columns=columns
        )

    def run_plain(self, key: dict[str, Any], iterations: int) -> dict[str, Any]:
        """The plain loop, with the network, crops and batch of the preset."""
        c = self.comparison
        words = c.words("supervised", LABELLED, self.split, iterations)
        command = f"python benchmarks/time_to_quality.py --data {c.name} --methods plain --splits {self.split}"
        miou, seconds = plain_loop.run(Config.load(c.data.preset, [*words, *c.root]))
        row = key | {
            "miou_last": round(miou, 3), "miou_best": round(miou, 3), "teacher_last": None,
            "curve": [[round(seconds, 2), iterations, round(miou, 3)]], "iterations": iterations,
            "seconds": round(seconds, 1), "command": command,
            "date": datetime.date.today().isoformat(), "machine": machine(), "versions": versions(),
        }  # fmt: skip
        append(c.results, row)
        return row


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line for each data set and method, a column for each budget: mean mIoU of the last student."""
    budgets = sorted({row["minutes"] for row in rows if row["minutes"] > 0})
    lines = ["| data | method | " + " | ".join(f"{m:g} min" for m in budgets) + " |", "|---" * (len(budgets) + 2) + "|"]
    for data, method in dict.fromkeys((row["data"], row["method"]) for row in rows):
        cells = []
        for minutes in budgets:
            some = [r for r in rows if (r["data"], r["method"], r["minutes"]) == (data, method, minutes)]
            cells.append(cell(some) if some else "–")
        lines.append(f"| {data} | {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(rows: list[dict[str, Any]]) -> str:
    """``52.1 in 61 s``: means of mIoU and of the seconds that steps and crops took."""
    seconds = statistics.fmean(row["curve"][-1][0] for row in rows)
    return f"{statistics.fmean(row['miou_last'] for row in rows):.1f} in {seconds:.0f} s"


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, then print the table."""
    methods = ["plain", "supervised", *default_methods()]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="toy_streets", choices=list(DATA))
    parser.add_argument("--root", help="folder of the data set, where it is not toy streets")
    parser.add_argument("--methods", type=words_of, default=methods)
    parser.add_argument("--minutes", type=lambda text: [float(m) for m in words_of(text)], default=[1, 3, 10, 30])
    parser.add_argument("--splits", type=numbers, default=[1])
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-time"), help="runs in progress")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="run nothing")
    given = parser.parse_args(arguments)
    try:
        if not given.table:
            comparison = Comparison(given.data, DATA[given.data], given.results, given.work, given.root, None)
            for split in given.splits:
                for method in given.methods:
                    Clocked(comparison, method, split).run_all(given.minutes)
    except SemisegError as error:
        parser.exit(1, f"{error}\n")
    print(table(read_results(given.results)))


if __name__ == "__main__":
    main()
