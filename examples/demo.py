"""The demo: what 228 unlabelled images add to 12 labelled ones, on toy streets, in minutes on a CPU.

python examples/demo.py        (or: make demo)
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import semiseg
from semiseg.data.run_data import open_run_data
from semiseg.prediction.files import predict_array
from semiseg.report import write_report
from semiseg.runs.checkpoint import load_model
from semiseg.visualise import colourise, comparison_picture


def free_folder(base: Path) -> Path:
    """``base``, or ``base-2`` and so on: an earlier demo is never written over."""
    number = 2
    folder = base
    while folder.exists():
        folder, number = base.with_name(f"{base.name}-{number}"), number + 1
    return folder


def main() -> None:
    """Train twice with equal steps, print both mIoU and draw input, truth and both predictions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="section.key=value, e.g. training.iterations=20")
    arguments = parser.parse_args()
    folder, began = free_folder(Path("runs/demo")), time.monotonic()
    figures = {}
    for method in ("supervised", "memory_bank"):
        words = [f"method.name={method}", f"run_dir={folder / method}", *arguments.overrides]
        figures[method] = semiseg.train("toy_streets", words)

    networks = [load_model(folder / method, "last").network for method in figures]
    data = open_run_data(semiseg.Config.load("toy_streets").data)
    info, rows = data.val.info, []
    for i in range(4):
        image, truth = data.val.image(i), data.val.label(i)
        assert truth is not None
        predictions = [colourise(predict_array(network, image), info.colours) for network in networks]
        rows.append([np.asarray(image), colourise(truth, info.colours), *predictions])
    titles = ["input", "truth", "supervised", "semi-supervised"]
    legend = list(zip(info.classes, info.colours, strict=True))
    picture = comparison_picture(rows, titles, legend, folder / "comparison.png")

    print(f"\nvalidation mIoU with {len(data.labelled)} labelled images (last checkpoint, best in brackets)")
    for method, result in figures.items():
        print(f"  {method:12} {result.last_miou:5.1f} ({result.best_miou:.1f})")
    gain = figures["memory_bank"].last_miou - figures["supervised"].last_miou
    print(f"  {len(data.unlabelled)} unlabelled images bought {gain:+.1f} points in {time.monotonic() - began:.0f} s")
    print("  at equal steps, not at equal crops or seconds, which benchmarks/gain.py compares")
    print(f"picture: {picture}")
    report = write_report([folder / method for method in figures], folder / "report.html")
    print(f"report: {report}")


if __name__ == "__main__":
    main()
