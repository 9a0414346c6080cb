"""CamVid: every method under equal steps, crops and network, over label splits 1, 2 and 3.

Settings were chosen on label split 0 and on toy streets. Finished runs are in ``results/camvid.json`` and skipped.

    SEMISEG_DATA=FOLDER python benchmarks/camvid.py            # the matrix, about two hours on two cores
    OMP_NUM_THREADS=1 … in two shells         # two processes of one thread share it: 1.5 times the runs an hour
    SEMISEG_DATA=FOLDER python benchmarks/camvid.py --ablation # Table 5's eight combinations on split 1
    python benchmarks/camvid.py --table                        # only the table of what is there
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from semiseg.experiments.results import read_results, run_once, table

RESULTS = Path(__file__).parent / "results" / "camvid.json"
ABLATION = Path(__file__).parent / "results" / "camvid_ablation.json"
SPLITS = (1, 2, 3)
# By what a reader wants first: all splits of a row before the next row.
MATRIX = [
    ("memory_bank", "1/30"),
    ("supervised", "1/30"),
    ("memory_bank", "1/8"),
    ("supervised", "1/8"),
    ("classmix", "1/30"),
    ("classmix", "1/8"),
    ("cutmix", "1/30"),
    ("mean_teacher", "1/30"),
]
TERMS = [(), ("pseudo",), ("entropy",), ("contrastive",), ("pseudo", "entropy"), ("pseudo", "contrastive"),
         ("entropy", "contrastive"), ("pseudo", "entropy", "contrastive")]  # fmt: skip


def jobs(splits: tuple[int, ...]) -> list[tuple[dict[str, Any], list[str]]]:
    """(key, words) of all methods, label fractions and splits; the fully labelled run last."""
    found = []
    for method, labelled in MATRIX:
        for split in splits:
            key = {"method": method, "labelled": labelled, "split_seed": split}
            words = [f"method.name={method}", f"data.labelled={labelled}", f"data.split_seed={split}"]
            found.append((key, [*words, f"training.seed={split}"]))
    key = {"method": "supervised", "labelled": "all", "split_seed": splits[0]}
    found.append((key, ["method.name=supervised", "data.labelled=all", f"training.seed={splits[0]}"]))
    return found


def ablation(work: Path, split: int) -> None:
    """Table 5: which terms of eq. 1 are on, at 1/30 and one label split."""
    for terms in TERMS:
        key = {"terms": "+".join(("sup", *terms)), "labelled": "1/30", "split_seed": split}
        off = [f"method.weights.{name}=0" for name in ("pseudo", "entropy", "contrastive") if name not in terms]
        words = [f"data.split_seed={split}", f"training.seed={split}", *off]
        run_once(ABLATION, key, "camvid", words, work)


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-camvid"), help="folder for runs in progress")
    parser.add_argument("--splits", type=int, nargs="*", default=list(SPLITS))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--ablation", action="store_true")
    parser.add_argument("--table", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    if arguments.ablation:
        if not arguments.table:
            ablation(arguments.work, arguments.splits[0])
        print(table(read_results(ABLATION), ("terms", "labelled")))
        return
    for key, words in [] if arguments.table else jobs(tuple(arguments.splits)):
        run_once(arguments.results, key, "camvid", words, arguments.work)
    print(table(read_results(arguments.results), ("method", "labelled")))


if __name__ == "__main__":
    main()
