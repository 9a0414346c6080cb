"""Does ``semiseg suggest`` choose better than chance? Two rounds on toy streets: 12 masks, then 6 more, then 6 more.

    python benchmarks/suggest.py            # five runs a seed, minutes each; several processes may share them
    python benchmarks/suggest.py --table    # only the table of what is there

Both arms start from the same run with 12 masks. Then each trains anew with the images that its own last run suggested,
or with as many drawn by the seed. Method and schedule are the preset's, the ranking the command's defaults: nothing is
tuned on these seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from semiseg import Config
from semiseg.data.run_data import open_run_data
from semiseg.data.splits.lists import read_list, write_list
from semiseg.experiments.results import read_results, run_once, table
from semiseg.suggest import suggest

RESULTS = Path(__file__).parent / "results" / "suggest.json"
FIRST, MORE, ROUNDS = 12, 6, 2


def run_round(arm: str, done: int, seed: int, names: list[str], work: Path) -> Path | None:
    """Train with these masks unless that is done; the run folder, or None where another process is at it."""
    names_file = work / "lists" / f"{arm}-{done}-{seed}.txt"
    names_file.parent.mkdir(parents=True, exist_ok=True)
    if not names_file.exists():
        write_list(names_file, names)
    key = {"choice": arm, "masks": len(names), "split_seed": seed}
    words = [f"data.labelled_list={names_file}", "data.labelled=all", f"training.seed={seed}"]
    if run_once(RESULTS, key, "toy_streets", words, work, keep=True) is None:
        return None
    return work / f"{arm}-{len(names)}-{seed}"


def run_seed(seed: int, work: Path) -> None:
    """The first run and both arms of one seed."""
    data = open_run_data(Config.load("toy_streets", [f"data.labelled={FIRST}", f"data.split_seed={seed}"]).data)
    everything = list(data.train.names)
    first = run_round("start", 0, seed, data.labelled_names, work)
    if first is None:
        return
    for arm in ("suggested", "random"):
        names, last = list(data.labelled_names), first
        for number in range(1, ROUNDS + 1):
            chosen = work / "lists" / f"{arm}-{number}-{seed}.txt"
            if chosen.exists():
                names = read_list(chosen, everything)
            elif arm == "suggested":
                names = names + [s.name for s in suggest(last, MORE)]
            else:
                left = sorted(set(everything) - set(names))
                names = names + list(np.random.default_rng([seed, number]).choice(left, MORE, replace=False))
            found = run_round(arm, number, seed, names, work)
            if found is None:
                break
            last = found


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-suggest"), help="folder for the runs")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--table", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    for seed in [] if arguments.table else arguments.seeds:
        run_seed(seed, arguments.work)
    print(table(read_results(RESULTS), ("choice", "masks")))


if __name__ == "__main__":
    main()
