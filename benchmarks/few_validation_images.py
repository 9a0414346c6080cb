"""By how many points of mIoU two networks differ by chance on few validation images.

    SEMISEG_NUCLEI=FOLDER python benchmarks/few_validation_images.py    # minutes; trains four networks

Two networks that differ in ``training.seed`` alone are compared on random draws of v validation images, as two methods
would be on a validation set of that size. The chance difference is twice the standard deviation of these differences.
If the images were independent and mIoU a mean over them, it would fall as 1/√v: ``times_root`` is the factor.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
from pathlib import Path

import numpy as np
import torch
from per_image import confusions

from semiseg import Config, train
from semiseg.data.run_data import open_split
from semiseg.evaluation.confusion import EvaluationResult
from semiseg.runs.checkpoint import load_model
from semiseg.runtime.version import machine, versions

RESULTS = Path(__file__).parent / "results" / "few_validation_images.json"
SIZES = (1, 2, 4, 8, 16, 32)
DRAWS = 2000
COMMON = ["method.name=supervised", "data.workers=0", "data.cache=true", "training.tensorboard=false"]
DATA = {
    "nuclei": ("folder", ["data.labelled=43", "data.crop=128", "training.iterations=150"]),
    "toy_streets": ("toy_streets", ["training.iterations=300"]),
}


def of_run(config: Config) -> np.ndarray:
    """Confusion of a trained run on every validation image, int64 (images, C, C)."""
    run_dir = Path(config.run_dir)
    if not (run_dir / "evaluation.json").exists():
        train(config, resume="auto")
    network, images = load_model(run_dir, "last").network, open_split(config.data, "val")
    return confusions(network, images, range(len(images)), config, torch.device("cpu"))


def differences(first: np.ndarray, second: np.ndarray, size: int, draws: np.random.Generator) -> np.ndarray:
    """Points of mIoU between two networks on DRAWS random sets of ``size`` images, float64 (DRAWS,)."""

    def miou(confusion: np.ndarray) -> float:
        return 100 * EvaluationResult.from_confusion(confusion, tuple(map(str, range(len(confusion)))), size).miou

    found = []
    for _ in range(DRAWS):
        chosen = draws.choice(len(first), size, replace=False)
        found.append(miou(first[chosen].sum(0)) - miou(second[chosen].sum(0)))
    return np.array(found)


def main() -> None:
    """Train what is missing, write the figures and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-few-validation-images"))
    given, rows = parser.parse_args(), []
    for data, (preset, words) in DATA.items():
        root = [f"data.root={os.environ['SEMISEG_NUCLEI']}"] if data == "nuclei" else []
        pair = [
            of_run(Config.load(preset, [*COMMON, *words, *root, f"training.seed={seed}",
                                            f"run_dir={given.work / f'{data}-{seed}'}"]))
            for seed in (1, 2)
        ]  # fmt: skip
        for size in (size for size in SIZES if 2 * size <= len(pair[0])):
            chance = 2 * float(differences(*pair, size, np.random.default_rng(size)).std())
            rows.append({
                "data": data, "validation_images": size, "chance_difference": round(chance, 1),
                "times_root": round(chance * size**0.5, 1), "words": [preset, *COMMON, *words],
            })  # fmt: skip
            print(rows[-1], flush=True)
    facts = {
        "command": "SEMISEG_NUCLEI=FOLDER python benchmarks/few_validation_images.py", "seeds": [1, 2],
        "date": datetime.date.today().isoformat(), "machine": machine(), "versions": versions(), "rows": rows,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
