"""Section 4.3.2 on toy streets: memory_bank on the "camera" look with and without labelled images of the "game" look.

python benchmarks/domain_adaptation.py            # three seeds
python benchmarks/domain_adaptation.py --table    # only the table of what is there
"""

from __future__ import annotations

import argparse
from pathlib import Path

from semiseg.experiments.results import read_results, run_once, table

RESULTS = Path(__file__).parent / "results" / "domain_adaptation.json"
SOURCE = ["data.source.dataset=toy_streets", "data.source.options={look: game, train: 240}"]
RUNS: dict[str, list[str]] = {
    "target only": [],
    "game → camera": SOURCE,
}


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-adaptation"), help="runs in progress")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--table", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    jobs = [(name, labelled, seed) for labelled in (12, 4) for seed in arguments.seeds for name in RUNS]
    for name, labelled, seed in [] if arguments.table else jobs:
        key = {"training": name, "labelled": labelled, "split_seed": seed}
        few = [] if labelled == 12 else [f"data.labelled={labelled}"]  # 12 is the preset's
        words = [*few, f"data.split_seed={seed}", f"training.seed={seed}", *RUNS[name]]
        run_once(RESULTS, key, "toy_streets", words, arguments.work)
    print(table(read_results(RESULTS), ("training", "labelled")))


if __name__ == "__main__":
    main()
