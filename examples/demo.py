"""The demo: what 228 unlabelled images add to 12 labelled ones, on toy streets, in minutes on a CPU.

Three trainings of as many steps: supervised with the preset's batch; supervised on as many crops a step as the method's
student sees, since larger batches help by themselves; and the method, on labelled and unlabelled crops.

python examples/demo.py        (or: make demo)
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import semiseg
from semiseg.cost.run import count_run
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
    """Train three times, print every mIoU and draw input, truth and predictions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="section.key=value, e.g. training.iterations=20")
    arguments = parser.parse_args()
    folder, began = free_folder(Path("runs/demo")), time.monotonic()
    config = semiseg.Config.load("toy_streets", arguments.overrides)
    data, method = open_run_data(config.data), config.method.name
    crops = count_run(config, data.train.info.num_classes).crops // config.training.accumulation
    runs = {
        "supervised": ["method.name=supervised"],
        f"supervised on {crops} crops": ["method.name=supervised", f"training.batch_size={crops}"],
        method: [],
    }
    folders = {title: folder / title.replace(" ", "-") for title in runs}
    figures = {
        title: semiseg.train("toy_streets", [*arguments.overrides, *words, f"run_dir={folders[title]}"])
        for title, words in runs.items()
    }

    networks = [load_model(folders[title], "last").network for title in runs]
    info, rows = data.val.info, []
    for i in range(4):
        image, truth = data.val.image(i), data.val.label(i)
        assert truth is not None
        predictions = [colourise(predict_array(network, image), info.colours) for network in networks]
        rows.append([np.asarray(image), colourise(truth, info.colours), *predictions])
    titles = ["input", "truth", *runs]
    legend = list(zip(info.classes, info.colours, strict=True))
    picture = comparison_picture(rows, titles, legend, folder / "comparison.png")

    print(f"\nvalidation mIoU with {len(data.labelled)} labelled images: last checkpoint, best, minutes")
    for title, result in figures.items():
        print(f"  {title:24} {result.last_miou:5.1f} {result.best_miou:6.1f} {result.seconds / 60:6.1f}")
    steps, equal, semi = (result.last_miou for result in figures.values())
    print(f"  {len(data.unlabelled)} unlabelled images bought {semi - equal:+.1f} points at equal crops and steps,")
    print(f"  {semi - steps:+.1f} over the smaller batch; equal seconds, longer runs: benchmarks/gain.py")
    print(f"  all in {time.monotonic() - began:.0f} s")
    print(f"picture: {picture}")
    report = write_report(list(folders.values()), folder / "report.html")
    print(f"report: {report}")


if __name__ == "__main__":
    main()
