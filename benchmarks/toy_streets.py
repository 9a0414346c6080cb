"""Toy streets: supervised beside memory_bank with 12 of 240 images labelled, over three seeds.

python benchmarks/toy_streets.py            # about 12 minutes on two cores
python benchmarks/toy_streets.py --table    # only the table of what is there
"""

from __future__ import annotations

import argparse
from pathlib import Path

from semiseg.experiments.results import read_results, run_once, table

RESULTS = Path(__file__).parent / "results" / "toy_streets.json"


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-toy"), help="folder for runs in progress")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--methods", nargs="*", default=["supervised", "memory_bank"])
    parser.add_argument("--table", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    jobs = [(method, seed) for seed in arguments.seeds for method in arguments.methods]
    for method, seed in [] if arguments.table else jobs:
        key = {"method": method, "labelled": 12, "split_seed": seed}
        words = [f"method.name={method}", f"data.split_seed={seed}", f"training.seed={seed}"]
        run_once(RESULTS, key, "toy_streets", words, arguments.work)
    print(table(read_results(RESULTS), ("method", "labelled")))


if __name__ == "__main__":
    main()
