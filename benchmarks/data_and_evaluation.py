"""Whether data and metrics keep out of the way at Cityscapes' size, 1024×2048 and 19 classes.

    python benchmarks/data_and_evaluation.py            # also --device cuda
    python benchmarks/data_and_evaluation.py --quick    # small, to see that it runs

Evaluation: seconds in the confusion matrix beside those in the forward passes (upsampling and argmax included).
Loading: crops a second from PNG files by number of workers, and the share of waiting in a loop whose steps take 1.25
times as long as the crops of a step, while the processor is free as beside a GPU.
Both print their goal and save ``results/data_and_evaluation_DEVICE.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from semiseg import Config
from semiseg.data.base import DatasetInfo, ImageSet
from semiseg.data.loading import CropDataset, batches
from semiseg.evaluation import image_set as evaluation
from semiseg.networks.build import build_network_of
from semiseg.runtime.version import machine, versions

RESULTS = Path(__file__).parent / "results"
CLASSES, CROP, BATCH = 19, 512, 10  # five labelled and five unlabelled crops a step (section 4.2)
METRICS_GOAL, WAIT_GOAL = 0.05, 0.02


class Streets(ImageSet):
    """Smooth random pictures with blocks of classes: as costly to decode as photographs, in memory or as files."""

    def __init__(self, count: int, size: tuple[int, int], folder: Path | None = None) -> None:
        colours = tuple((13 * c % 256, 57 * c % 256, 91 * c % 256) for c in range(CLASSES))
        self.info = DatasetInfo("streets", tuple(f"class {c}" for c in range(CLASSES)), colours)
        self.names, self.folder = [f"{i:03d}" for i in range(count)], folder
        rng = np.random.default_rng(0)
        self.pairs = []
        for name in self.names:
            coarse = rng.integers(0, 256, (size[0] // 32, size[1] // 32, 3), np.uint8)
            picture = Image.fromarray(coarse).resize((size[1], size[0]), Image.Resampling.BICUBIC)
            noisy = np.asarray(picture).astype(np.int16) + rng.integers(-6, 7, (*size, 3), np.int16)
            image = noisy.clip(0, 255).astype(np.uint8)
            label = rng.integers(0, CLASSES, (size[0] // 32, size[1] // 32), np.uint8).repeat(32, 0).repeat(32, 1)
            if folder is not None:
                Image.fromarray(image).save(folder / f"{name}.png", compress_level=3)
                Image.fromarray(label).save(folder / f"{name}_label.png")
            else:
                self.pairs.append((image, label))

    def image(self, i: int) -> np.ndarray:
        if self.folder is None:
            return self.pairs[i][0]
        return np.asarray(Image.open(self.folder / f"{self.names[i]}.png"))

    def label(self, i: int) -> np.ndarray | None:
        if self.folder is None:
            return self.pairs[i][1]
        return np.asarray(Image.open(self.folder / f"{self.names[i]}_label.png"))

    def has_label(self, i: int) -> bool:
        return True


def measure_evaluation(device: torch.device, count: int, size: tuple[int, int]) -> dict[str, Any]:
    """Seconds in metrics and in passes over ``count`` images."""
    backbone = "resnet101" if device.type == "cuda" else "efficientnet_lite0"
    words = ["network.architecture=deeplabv3plus", f"network.backbone={backbone}", "network.pretrained=none"]
    network = build_network_of(Config.parse({}, words), CLASSES).to(device)
    network.to(memory_format=torch.channels_last)
    seconds: dict[str, float] = {}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            began = now(device)
            result = function(*args, **kwargs)
            seconds[name] = seconds.get(name, 0.0) + now(device) - began
            return result

        return run

    images = Streets(count, size)
    evaluation.evaluate_network(network, Streets(1, size), device=device)  # warm up
    before = {name: getattr(evaluation, name) for name in ("predict_classes", "confusion_matrix", "device_counts")}
    try:
        for name, function in before.items():
            setattr(evaluation, name, timed("passes" if name == "predict_classes" else "metrics", function))
        evaluation.evaluate_network(network, images, device=device)
    finally:
        for name, function in before.items():
            setattr(evaluation, name, function)
    return {
        "images": count, "size": list(size), "network": backbone, "passes_s": round(seconds["passes"], 3),
        "metrics_s": round(seconds["metrics"], 3), "share": round(seconds["metrics"] / seconds["passes"], 4),
    }  # fmt: skip


def now(device: torch.device) -> float:
    """Seconds, once the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def measure_loading(size: tuple[int, int], files: int, steps: int, workers: int) -> dict[str, Any]:
    """Crops a second with this many workers, and the wait beside steps that take 1.25 times as long as the crops."""
    with tempfile.TemporaryDirectory() as folder:
        images = Streets(files, size, Path(folder))
        side = min(CROP, size[0] // 2)
        dataset = CropDataset(images, range(files), (side, side), 0, "labelled")
        loader = iter(batches(dataset, BATCH, 0, 3 * steps, workers))
        next(loader)
        began = time.perf_counter()
        for _ in range(steps):
            next(loader)
        each = (time.perf_counter() - began) / steps
        waited, began = 0.0, time.perf_counter()
        for _ in range(steps):
            time.sleep(1.25 * each)
            asked = time.perf_counter()
            next(loader)
            waited += time.perf_counter() - asked
        whole = time.perf_counter() - began
    return {"workers": workers, "crops_per_s": round(BATCH / each, 1), "step_ms": round(1250 * each, 1),
            "wait": round(waited / whole, 4)}  # fmt: skip


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    size = (128, 256) if arguments.quick else (1024, 2048)
    count = 2 if arguments.quick else 50 if device.type == "cuda" else 6
    metrics = measure_evaluation(device, count, size)
    print(f"evaluation: passes {metrics['passes_s']} s, metrics {metrics['metrics_s']} s")
    holds = metrics["share"] <= METRICS_GOAL
    print(f"{'holds ' if holds else 'MISSED'} metrics at most 5 % of the passes: {100 * metrics['share']:.1f} %")
    loading = [measure_loading(size, 4 if arguments.quick else 12, 2 if arguments.quick else 12, w) for w in (0, 2, 4)]
    for row in loading:
        print(f"loading, {row['workers']} workers: {row['crops_per_s']} crops/s; in steps of {row['step_ms']} ms the "
              f"wait is {100 * row['wait']:.1f} %")  # fmt: skip
    wait = loading[-1]["wait"]
    print(f"{'holds ' if wait <= WAIT_GOAL else 'MISSED'} wait at most 2 % with 4 workers: {100 * wait:.1f} %")
    if not arguments.quick:
        result = {"command": " ".join(["python", *sys.argv]), "machine": machine(), "versions": versions(),
                  "date": time.strftime("%Y-%m-%d"), "evaluation": metrics, "loading": loading}  # fmt: skip
        (RESULTS / f"data_and_evaluation_{device.type}.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
