"""How far the mIoU of n validation images, and the training loss, move by chance from one validation to the next.

    python benchmarks/validation_noise.py toy_streets
    python benchmarks/validation_noise.py nuclei --root FOLDER        # a minute or two each

One short supervised training, validated often, every image counted by itself, so that the curve of any subset of the
images is known. The noise of a validation is read from the second differences of the curves: they leave a steady
rise out, and their variance is 6 σ² where each validation has an independent error of σ. The first quarter of the
curve, which bends, is left out. The loss is read in the same way, in percent of itself. The last column of the table is
what ``sigma_of_images`` of src/semiseg/training/advice/noise.py says.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from per_image import confusions

from semiseg import Config
from semiseg.evaluation.confusion import iou_from_confusion
from semiseg.runtime.version import machine, versions
from semiseg.training.advice.noise import sigma_of_images
from semiseg.training.batches import batches_on_device, training_batches
from semiseg.training.clock import Clock
from semiseg.training.loop import Run

RESULTS = Path(__file__).parent / "results" / "validation_noise.json"
DATA: dict[str, tuple[str, list[str]]] = {
    "toy_streets": ("toy_streets", []),
    "nuclei": ("folder", ["data.crop=128", "data.workers=0"]),
    "camvid": ("camvid", ["data.workers=0"]),
}
SUBSETS = 300  # of each size, drawn with a fixed seed


def curves(config: Config, validations: int, images: int) -> tuple[np.ndarray, list[float]]:
    """Two things of a run: confusion matrices (validations, images, C, C) of evenly chosen validation images, and the
    mean supervised loss between one validation and the next."""
    with TemporaryDirectory() as folder:
        run = Run(Config.parse(config.model_dump(mode="json"), [f"run_dir={folder}/run"]))
        t, (only,) = run.config.training, run.rounds
        loaders = training_batches(run.config, run.data, 0, only.stop, run.method.needs)
        following = batches_on_device(loaders, run.device, run.layout, Clock())
        run.method.train()
        every, found, losses, since = t.iterations // validations, [], [], 0.0
        for iteration in range(every * validations):
            since += float(run.stepper(following, iteration, only)["supervised"])
            if (iteration + 1) % every == 0:
                found.append(_validation(run, images))
                losses.append(since / every / t.accumulation)
                since = 0.0
        return np.array(found), losses


def _validation(run: Run, images: int) -> np.ndarray:
    val = run.data.val
    chosen = np.linspace(0, len(val) - 1, min(images, len(val))).round().astype(int)
    found = confusions(run.method.student, val, chosen.tolist(), run.config, run.device)
    run.method.train()
    return found


def noise(values: Sequence[float]) -> float:
    """σ² of independent errors about a steady rise or fall, from the later three quarters of a curve."""
    return float(np.mean(np.diff(values[len(values) // 4 :], n=2) ** 2) / 6)


def miou_noise(matrices: np.ndarray, size: int) -> float:
    """σ of one validation on ``size`` images, in points of mIoU: root mean square over random subsets."""
    rng, found = np.random.default_rng(0), []
    for _ in range(SUBSETS):
        subset = rng.permutation(matrices.shape[1])[:size]
        found.append(noise([100 * np.nanmean(iou_from_confusion(m)) for m in matrices[:, subset].sum(axis=1)]))
    return float(np.sqrt(np.mean(found)))


def main() -> None:
    """Measure one data set, replace its row, print the table of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=DATA)
    parser.add_argument("--iterations", type=int, default=240)
    parser.add_argument("--validations", type=int, default=24)
    parser.add_argument("--images", type=int, default=32, help="validation images at most")
    parser.add_argument("--root", help="folder of the data set")
    parser.add_argument("--words", nargs="*", default=[], help="further section.key=value")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    told = ["--root", "FOLDER"] if arguments.root else []
    told += [f"--{name}={getattr(arguments, name)}" for name in ("iterations", "validations", "images")]
    preset, words = DATA[arguments.data]
    words = [
        "method.name=supervised", "data.labelled=12", f"training.iterations={arguments.iterations}", *words,
        *arguments.words, *([f"data.root={arguments.root}"] if arguments.root else []),
    ]  # fmt: skip
    matrices, losses = curves(Config.load(preset, words), arguments.validations, arguments.images)
    sizes = [size for size in (1, 2, 4, 8, 16, 32) if size <= matrices.shape[1]]
    row = {
        "data": arguments.data, "classes": int(matrices.shape[-1]), "images": int(matrices.shape[1]),
        "iterations": arguments.iterations, "validations": arguments.validations,
        "sigma": {str(size): round(miou_noise(matrices, size), 2) for size in sizes},
        "loss_percent": round(100 * noise(np.log(losses).tolist()) ** 0.5, 1),
        "losses": [round(loss, 4) for loss in losses],
        "command": shlex.join(["python", "benchmarks/validation_noise.py", arguments.data, *told, *arguments.words]),
        "date": datetime.date.today().isoformat(), "machine": machine(), "versions": versions(),
    }  # fmt: skip
    rows = json.loads(arguments.results.read_text()) if arguments.results.exists() else []
    rows = [other for other in rows if other["data"] != row["data"]] + [row]
    arguments.results.write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))
    for row in rows:
        steps = row["iterations"] // row["validations"]
        print(
            f"{row['data']}: the mean supervised loss of {steps} steps has a noise of {row['loss_percent']} % of itself"
        )


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: σ by data set and number of images, and what the constant says."""
    lines = ["| images | " + " | ".join(row["data"] for row in rows) + " | constant |", "|---" * (len(rows) + 2) + "|"]
    for size in sorted({int(size) for row in rows for size in row["sigma"]}):
        cells = [f"{row['sigma'][str(size)]:.1f}" if str(size) in row["sigma"] else "–" for row in rows]
        lines.append(f"| {size} | " + " | ".join(cells) + f" | {sigma_of_images(size):.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
