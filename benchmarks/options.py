"""What each option of training costs in time and memory beside the plain run, on toy streets.

    python benchmarks/options.py                  # about five minutes on two cores
    python benchmarks/options.py --steps 8        # short, to see that it runs

Every option is a training of its own process; a plain one runs before and after each, and times are ratios to the mean
of those two, since machines are noisy. Memory is the peak of the process (of the device on CUDA) above what the imports
take. The first half of the steps warms up (caches, compilation) and does not count.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
BASE = [
    "data.crop=96", "network.pretrained=none", "training.log_every=2", "training.tensorboard=false",
    "training.validate_every=100000", "method.warmup=0", "evaluation.batch_size=1", "data.options.val=1",
]  # fmt: skip
OPTIONS = [
    ["training.channels_last=false"],
    ["training.precision=bf16"],
    ["training.compile=true"],
    ["training.activation_checkpointing=true"],
    ["training.passes=in_turn"],
    ["training.passes=in_turn", "training.activation_checkpointing=true"],
    ["training.accumulation=2", "training.batch_size=2"],
    ["method.contrastive.max_pixels_per_class=64"],
]


def one(words: list[str], steps: int) -> dict[str, float]:
    """Train in this process: seconds a step, and peak MiB above the imports."""
    import torch

    import semiseg
    from semiseg.runs.metrics import read_metrics

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        run = f"{folder}/run"
        semiseg.train("toy_streets", [*BASE, *words, f"training.iterations={steps}", f"run_dir={run}"], progress=False)
        rows = [row for row in read_metrics(Path(run)) if row["kind"] == "train"]
    batch = next((int(word.partition("=")[2]) for word in words if word.startswith("training.batch_size")), 4)
    parts = 2 if "training.accumulation=2" in words else 1
    late = [row["images_per_second"] for row in rows[len(rows) // 2 :]]
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated() / 2**20
    else:
        peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"seconds": batch * parts / statistics.median(late), "mib": peak}


def apart(words: list[str], steps: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--steps", str(steps), "--one", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, print the table, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--one", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(one(arguments.one, arguments.steps)))
        return
    import torch

    from semiseg.runtime.version import machine, versions

    rows: list[dict[str, Any]] = []
    plain = [apart([], arguments.steps)]
    print("| option | time of a step | peak memory, MiB |\n|---|---|---|", flush=True)
    for words in OPTIONS:
        try:
            found = apart(words, arguments.steps)
        except subprocess.CalledProcessError as error:
            print(f"| `{' '.join(words)}` | failed: {error.stderr.splitlines()[-1]} | |", flush=True)
            continue
        plain.append(apart([], arguments.steps))
        usual = statistics.fmean(p["seconds"] for p in plain[-2:])
        rows.append(
            {"option": " ".join(words), "ratio": round(found["seconds"] / usual, 2), "mib": round(found["mib"])}
        )
        print(f"| `{rows[-1]['option']}` | {rows[-1]['ratio']} | {rows[-1]['mib']} |", flush=True)
    usual_mib = round(statistics.fmean(p["mib"] for p in plain))
    print(f"| plain | 1 ({1000 * statistics.fmean(p['seconds'] for p in plain):.0f} ms) | {usual_mib} |")
    if arguments.steps >= 24:
        result = {
            "command": " ".join(["python", *sys.argv]), "machine": machine(), "versions": versions(),
            "date": time.strftime("%Y-%m-%d"), "plain": plain, "rows": rows,
        }  # fmt: skip
        device = "cuda" if torch.cuda.is_available() else "cpu"
        (RESULTS / f"options_{device}.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
