"""Settings chosen on splits that no reported figure uses: one run for each line of ``tuning.txt``.

    SEMISEG_NUCLEI=FOLDER SEMISEG_DATA=FOLDER python benchmarks/tuning.py    # runs what is missing, then prints
    python benchmarks/tuning.py --table

A line is ``DATA SPLIT METHOD STEPS section.key=value …``; lines that begin with # say what was expected before the runs
below them began. Runs, schedule and data are those of ``gain.py``. Two processes of one thread share the lines.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gain import DATA

from semiseg.experiments.comparison.curve import columns
from semiseg.experiments.comparison.runs import Comparison
from semiseg.experiments.comparison.step_ratio import training
from semiseg.experiments.results import read_results, run_once

HERE = Path(__file__).parent
HEAD = "| data | split | method | steps | differs by | last | best | teacher | validations |"


def lines(path: Path) -> Iterator[tuple[str, int, str, int, list[str]]]:
    """Data set, split, method, steps and words of every run."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            data, split, method, steps, *words = line.split()
            yield data, int(split), method, int(steps), words


def run(data: str, split: int, method: str, steps: int, words: list[str], results: Path, work: Path) -> None:
    """One run with 12 masks, unless its row is there or another process is at it."""
    comparison = Comparison(data, DATA[data], results, work, None, steps)
    every = [*comparison.words(method, "12", split, steps), *words]
    key: dict[str, Any] = {
        "data": data, "method": method, "iterations": steps, "labelled": 12, "split_seed": split,
        "words": " ".join(words),
    }  # fmt: skip
    with training(work):
        run_once(
            results, key, DATA[data].preset, [*every, *comparison.root], work,
            command=comparison.command(every), columns=columns,
        )  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Every run in the order of the file, mIoU in percent."""
    found = [HEAD, "|---" * (HEAD.count("|") - 1) + "|"]
    for row in rows:
        teacher = "–" if row["teacher_last"] is None else f"{row['teacher_last']:.1f}"
        course = " ".join(f"{point[2]:.0f}" for point in row["curve"])
        cells = [
            row["data"], str(row["split_seed"]), row["method"], str(row["iterations"]), row["words"] or "–",
            f"{row['miou_last']:.1f}", f"{row['miou_best']:.1f}", teacher, course,
        ]  # fmt: skip
        found.append("| " + " | ".join(cells) + " |")
    return "\n".join(found)


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=Path, default=HERE / "tuning.txt")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-tuning"), help="runs in progress")
    parser.add_argument("--results", type=Path, default=HERE / "results" / "tuning.json")
    parser.add_argument("--table", action="store_true", help="run nothing")
    given = parser.parse_args(arguments)
    for data, split, method, steps, words in [] if given.table else lines(given.lines):
        run(data, split, method, steps, words, given.results, given.work)
    print(table(read_results(given.results)))


if __name__ == "__main__":
    main()
