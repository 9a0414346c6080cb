"""What a training step costs beside the bare passes of the same networks on as many crops.

    OMP_NUM_THREADS=1 python benchmarks/step.py    # every method at crops of 64 and 128, and the results file
    python benchmarks/step.py --method fixmatch --preset folder data.crop=128
    python benchmarks/step.py --quick              # two rounds, to see that it runs

Both run in turn in one process, so that a noisy machine disturbs both. Bare: student forward and backward on the
labelled crops and all unlabelled views, teacher forward on as many as the method shows it (``Method.cost``). The step
is the loop's own, ``Stepper``: everything but loading. A table by part (``step_parts.py``) and the goals; on a CPU with
``OMP_NUM_THREADS=1``, since parts that do not divide among threads would count double.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from step_parts import Clock, Measured, breakdown

from semiseg import Config
from semiseg.runtime.version import machine, versions

RESULTS = Path(__file__).parent / "results"
GOALS = {"fixmatch": 1.15, "classmix": 1.15, "memory_bank": 1.25}
METHODS = ("fixmatch", "classmix", "cutmix", "memory_bank", "joint_statistics")
CLASSES = 19  # of Cityscapes: more than most have, and losses and class attention grow with them
UNCOUNTED = 3  # first rounds, in which memory is claimed
RESNET101 = "table5_all"  # ResNet-101 at 512², batch 5, on CUDA alone


def measure(preset: str, words: list[str], rounds: int, device: torch.device) -> dict[str, Any]:
    """Median milliseconds of the step, of the bare passes, and of the step's parts."""
    config = Config.load(preset, ["method.warmup=0", "network.pretrained=none", *words])
    measured, clock = Measured(config, CLASSES, device), Clock(device)
    times: dict[str, list[float]] = {"bare": [], "step": []}
    for i in range(rounds + UNCOUNTED):
        for name, run in (("bare", measured.bare), ("step", lambda i=i: measured.step(i))):
            began = clock.now()
            run()
            times[name].append(clock.now() - began)
    kept = {name: [1000 * t for t in values[UNCOUNTED:]] for name, values in times.items()}
    ratios = [step / bare for step, bare in zip(kept["step"], kept["bare"], strict=True)]
    return {
        "method": config.method.name, "preset": preset, "settings": words, "crop": list(config.data.crop_size),
        "device": device.type, "threads": torch.get_num_threads(), "rounds": rounds,
        "student_crops": measured.students, "teacher_crops": measured.teachers,
        "bare_ms": round(statistics.median(kept["bare"]), 1), "step_ms": round(statistics.median(kept["step"]), 1),
        "ratio": round(statistics.median(ratios), 3),
        "parts_ms": breakdown(measured, clock, rounds + UNCOUNTED, max(2, rounds // 2)),
    }  # fmt: skip


def default_settings(methods: list[str], device: torch.device) -> list[tuple[str, list[str]]]:
    """Presets and words of the file of results."""
    settings = [
        (preset, [f"method.name={method}", *words])
        for method in methods
        for preset, words in (("toy_streets", []), ("folder", ["data.crop=128"]))
    ]
    if "memory_bank" in methods:
        # Every pixel in the heads, as the paper has it; and a DeepLabv3+ of 64 channels at 192², as measured before.
        every = ["method.name=memory_bank", "method.contrastive.max_pixels_per_class=null"]
        settings += [("toy_streets", every), ("folder", [*every, "data.crop=128"])]
        settings += [("toy_streets", [*every, "data.crop=192"]), ("toy_streets", ["data.crop=192"])]
        if device.type == "cuda":
            settings.append((RESNET101, []))
    return settings


def show(row: dict[str, Any]) -> None:
    """A row with its parts and its goal."""
    print(
        f"\n{row['method']} {row['preset']} {' '.join(row['settings'])} on {row['device']}: "
        f"bare {row['bare_ms']} ms, step {row['step_ms']} ms"
    )
    for part, milliseconds in sorted(row["parts_ms"].items(), key=lambda item: -item[1]):
        print(f"  {part:22} {milliseconds:10.2f} ms")
    goal = GOALS.get(row["method"])
    verdict = "" if goal is None else f"; {'holds' if row['ratio'] <= goal else 'MISSES'} the goal of {goal}"
    print(f"step / bare passes: {row['ratio']}{verdict}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="section.key=value words on top of --preset")
    parser.add_argument("--method", action="append", choices=METHODS, help="one or several; all")
    parser.add_argument("--preset", help="this one with the words given, instead of the rows of the results file")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument(
        "--results", type=Path, help="file that rows go to; results/step_DEVICE.json for the default rows"
    )
    parser.add_argument("--quick", action="store_true", help="two rounds, nothing saved")
    given = parser.parse_args(arguments)
    device = torch.device(given.device)
    methods = given.method or list(METHODS)
    if given.preset or given.words:
        preset = given.preset or "toy_streets"
        settings = [(preset, [f"method.name={method}", *given.words]) for method in methods]
    else:
        settings = default_settings(methods, device)
    rows = []
    for preset, words in settings:
        rows.append(measure(preset, words, 2 if given.quick else given.rounds, device))
        show(rows[-1])
    target = given.results
    if target is None and given.method is None and not (given.preset or given.words):
        target = RESULTS / f"step_{device.type}.json"
    if target is not None and not given.quick:
        result = {"command": " ".join(["python", *sys.argv]), "machine": machine(), "versions": versions(),
                  "date": time.strftime("%Y-%m-%d"), "classes": CLASSES, "goals": GOALS, "rows": rows}  # fmt: skip
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
