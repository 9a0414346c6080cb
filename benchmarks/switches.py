"""What each switch of ``method.profile=reference`` changes on toy streets: the paper's text with one switch at a time.

    python benchmarks/switches.py            # 27 runs a seed, minutes each; several processes may share them
    python benchmarks/switches.py --table    # only the table of what is there

The first row is the paper's text, the second every switch at once; the last is an option of ours, at most 256 pixels of
a class in the heads. Nothing is tuned: the preset's settings are those of the paper's text, so a switch starts at a
disadvantage.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from semiseg.config.profiles import reference
from semiseg.experiments.results import read_results, run_once, table
from semiseg.methods import method_names

RESULTS = Path(__file__).parent / "results" / "switches.json"
# No second domain here; DeepLabv2's classifier; three validations are too few for a patience of five.
NOT_HERE = {"data.source.sampling", "network.aspp", "training.plateau_patience"}


def arms() -> dict[str, list[str]]:
    """Name → words."""
    found = {"paper": [], "reference": ["method.profile=reference"]}
    section = "method.memory_bank."  # results of earlier versions name the keys without it
    others = tuple(f"method.{name}." for name in method_names() if name != "memory_bank")
    for key, value in reference().items():
        key = key.replace(section, "method.")
        if key not in NOT_HERE and not key.startswith(others):
            word = f"{key}={value if isinstance(value, str) else json.dumps(value)}"
            found[word] = [word]
    option = "method.contrastive.max_pixels_per_class=256"
    return found | {option: [option]}


def differences(rows: list[dict[str, Any]]) -> str:
    """Markdown: last student of every switch minus that of the paper's text on the same seed, by rising mean."""
    plain = {row["split_seed"]: row["miou_last"] for row in rows if row["switch"] == "paper"}
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        if row["switch"] != "paper" and row["split_seed"] in plain:
            found.setdefault(row["switch"], {})[row["split_seed"]] = row["miou_last"] - plain[row["split_seed"]]
    lines = ["| switch | by seed | mean |", "|---|---|---|"]
    for name, by_seed in sorted(found.items(), key=lambda item: statistics.fmean(item[1].values())):
        each = " · ".join(f"{by_seed[seed]:+.1f}" for seed in sorted(by_seed))
        lines.append(f"| `{name}` | {each} | {statistics.fmean(by_seed.values()):+.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-switches"), help="runs in progress")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--table", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    jobs = [(name, words, seed) for seed in arguments.seeds for name, words in arms().items()]
    for name, words, seed in [] if arguments.table else jobs:
        words = [*words, f"data.split_seed={seed}", f"training.seed={seed}"]
        run_once(RESULTS, {"switch": name, "split_seed": seed}, "toy_streets", words, arguments.work)
    print(table(read_results(RESULTS), ("switch",)))
    print("\n" + differences(read_results(RESULTS)))


if __name__ == "__main__":
    main()
