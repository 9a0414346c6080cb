"""Whether four times as many steps on toy streets show more of what the terms for unlabelled images bring.

    python benchmarks/longer.py            # 15 runs, four to twelve minutes each; several processes may share them
    python benchmarks/longer.py --table    # only the table of what is there

The same trainings at 480 steps are rows of ``without_terms.json``, ``switches.json`` ("paper") and
``reproduce/table5_mini_toy_streets.json``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from semiseg.experiments.results import read_results, run_once, table

RESULTS = Path(__file__).parent / "results" / "longer.json"
LONGER = ["training.iterations=1920", "training.validate_every=480", "training.checkpoint_every=480"]
RUNS: dict[str, list[str]] = {
    "supervised": ["method.name=supervised"],
    "no terms": ["method.weights.pseudo=0", "method.weights.entropy=0", "method.weights.contrastive=0"],
    "all terms": [],
    "all terms but the contrastive": ["method.weights.contrastive=0"],
    "all terms, passes in turn": ["training.passes=in_turn"],
}


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-longer"), help="runs in progress")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--table", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    jobs = [(name, seed) for name in RUNS for seed in arguments.seeds]
    for name, seed in [] if arguments.table else jobs:
        words = [*LONGER, *RUNS[name], f"data.split_seed={seed}", f"training.seed={seed}"]
        run_once(RESULTS, {"training": name, "split_seed": seed}, "toy_streets", words, arguments.work)
    print(table(read_results(RESULTS), ("training",)))


if __name__ == "__main__":
    main()
