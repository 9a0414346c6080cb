"""The demo: what 228 unlabelled images add to 12 labelled ones, on toy streets, in minutes on a CPU.

Three trainings: the method, on labelled and unlabelled crops; supervised for as many steps on as many crops as the
method's student sees, since larger batches help by themselves; and supervised with the preset's own small batch for as
many steps as fit into the method's training time, by the ratio of their step times.

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
from semiseg.experiments.comparison.step_ratio import step_times
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
    given = parser.parse_args().overrides
    folder, began = free_folder(Path("runs/demo")), time.monotonic()
    config, plain = (semiseg.Config.load("toy_streets", [*given, *words]) for words in ([], ["method.name=supervised"]))
    data, method = open_run_data(config.data), config.method.name
    crops = count_run(config, data.train.info.num_classes).crops // config.training.accumulation
    steps = round(config.training.iterations * step_times(config, plain, None)["ratio"])
    at_equal_crops, at_equal_seconds = f"supervised on {crops} crops", f"supervised for {steps} steps"
    runs = {
        at_equal_seconds: ["method.name=supervised", f"training.iterations={steps}"],
        at_equal_crops: ["method.name=supervised", f"training.batch_size={crops}"],
        method: [],
    }
    folders = {title: folder / title.replace(" ", "-") for title in runs}
    figures = {
        title: semiseg.train("toy_streets", [*given, *words, f"run_dir={folders[title]}"])
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
    semi = figures[method].last_miou
    crops_gain, seconds_gain = (semi - figures[title].last_miou for title in (at_equal_crops, at_equal_seconds))
    bought = f"bought {crops_gain:+.1f} points at equal crops and {seconds_gain:+.1f} at equal seconds"
    print(f"  {len(data.unlabelled)} unlabelled images {bought}")
    print("  one split of a short run: benchmarks/gain.py has three, trained to their end")
    print(f"  all in {time.monotonic() - began:.0f} s")
    print(f"picture: {picture}")
    report = write_report(list(folders.values()), folder / "report.html")
    print(f"report: {report}")


if __name__ == "__main__":
    main()
