"""Why ``memory_bank`` with all terms for unlabelled images off still beats ``supervised`` on toy streets.

    python benchmarks/without_terms.py            # 21 runs, a minute each; several processes may share them
    python benchmarks/without_terms.py --table    # only the table of what is there

Two things are left of the unlabelled images then: their views pass through the student, so BatchNorm sees them, and
class weights (eq. 3) count their pseudo-labels. Each is taken away alone, and class weights from both methods. With
``training.passes=in_turn`` labelled crops are normalised by their own statistics in training, as in ``supervised``, and
only the running averages, used in evaluation, are of all images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from semiseg.experiments.results import read_results, run_once, table

RESULTS = Path(__file__).parent / "results" / "without_terms.json"
SUPERVISED = ["method.name=supervised"]
NO_TERMS = ["method.weights.pseudo=0", "method.weights.entropy=0", "method.weights.contrastive=0"]
NO_WEIGHTS, IN_TURN = "method.class_balance.enabled=false", "training.passes=in_turn"
RUNS: dict[str, list[str]] = {
    "supervised": SUPERVISED,
    "supervised, no class weights": [*SUPERVISED, NO_WEIGHTS],
    "no terms": NO_TERMS,
    "no terms, no class weights": [*NO_TERMS, NO_WEIGHTS],
    "no terms, passes in turn": [*NO_TERMS, IN_TURN],
    "no terms, passes in turn, no class weights": [*NO_TERMS, IN_TURN, NO_WEIGHTS],
    "all terms, passes in turn": [IN_TURN],  # all terms in one pass: row "paper" of switches.json
}


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-without-terms"), help="runs in progress")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--table", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    jobs = [(name, seed) for seed in arguments.seeds for name in RUNS]
    for name, seed in [] if arguments.table else jobs:
        words = [*RUNS[name], f"data.split_seed={seed}", f"training.seed={seed}"]
        run_once(RESULTS, {"training": name, "split_seed": seed}, "toy_streets", words, arguments.work)
    print(table(read_results(RESULTS), ("training",)))


if __name__ == "__main__":
    main()
