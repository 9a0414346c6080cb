"""``gain.py`` with ResNet-50 and DeepLabv3+ at 256² and 512² on a GPU, as far as the minutes reach.

    SEMISEG_NUCLEI=FOLDER python benchmarks/gpu.py    # nuclei, 25 minutes
    python benchmarks/gpu.py --data toy_streets --sizes 64 --iterations 2 --device cpu --pretrained none

What is most telling comes first: a method and its three supervised runs on one split, then the next split, then the
next size. No run begins that is not expected to end in time, by the seconds a step of the longest one so far; what is
missing is run the next time. Images are cropped at the size and, where they are smaller, enlarged to it. Rows are those
of ``gain.py`` with ``data`` = ``nuclei 256``.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from gain import DATA, numbers, words_of

from semiseg.errors import SemisegError
from semiseg.experiments.comparison.data import Data
from semiseg.experiments.comparison.runs import EQUAL, Comparison
from semiseg.experiments.comparison.table import report
from semiseg.experiments.results import read_results

RESULTS = Path(__file__).parent / "results" / "gpu.json"
BATCH = 8


class Limited(Comparison):
    """A comparison whose runs begin only where they can end before a deadline.

    Args:
        deadline: of ``time.monotonic()``.
    """

    def __init__(self, name: str, data: Data, results: Path, work: Path, iterations: int, deadline: float) -> None:
        super().__init__(name, data, results, work, None, iterations)
        self.deadline, self.seconds_a_step = deadline, 0.0

    def run(self, equal: str, method: str, labelled: str, split: int, iterations: int, batch: int | None) -> None:
        began = time.monotonic()
        if self.seconds_a_step and began + iterations * self.seconds_a_step > self.deadline:
            print(f"{self.name}: no time for {method}, equal {equal}, split {split}", file=sys.stderr, flush=True)
            return
        super().run(equal, method, labelled, split, iterations, batch)
        self.seconds_a_step = max(self.seconds_a_step, (time.monotonic() - began) / iterations)


def data_at(name: str, size: int, backbone: str, pretrained: str, device: str, precision: str) -> Data:
    """A data set of ``gain.py`` with crops of ``size`` and the network of the GPU's table."""
    words = [word for word in DATA[name].words if not word.startswith("data.crop")]
    return replace(DATA[name], words=(
        *words, f"data.crop={size}", f"training.batch_size={BATCH}", f"training.device={device}",
        f"training.precision={precision}", "network.architecture=deeplabv3plus", f"network.backbone={backbone}",
        f"network.pretrained={pretrained}", "network.decoder_channels=256",
    ))  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing and fits, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="nuclei", choices=list(DATA))
    parser.add_argument("--methods", type=words_of, default=["fixmatch", "joint_statistics", "memory_bank"])
    parser.add_argument("--sizes", type=numbers, default=[256, 512], help="side of the crops in pixels")
    parser.add_argument("--splits", type=numbers, default=[1, 2, 3])
    parser.add_argument("--labelled", default="12")
    parser.add_argument("--iterations", type=int, default=1500)
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--pretrained", default="imagenet", help="imagenet, none or a file of weights")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-gpu"), help="runs in progress")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    deadline = time.monotonic() + 60 * given.minutes
    try:
        for size in given.sizes:
            data = data_at(given.data, size, given.backbone, given.pretrained, given.device, given.precision)
            runs = Limited(f"{given.data} {size}", data, given.results, given.work, given.iterations, deadline)
            for split in given.splits:
                runs.run_all(given.methods, [given.labelled], [split], list(EQUAL))
            runs.run_all(given.methods, ["all"], given.splits, ["crops"])
    except SemisegError as error:
        parser.exit(1, f"{error}\n")
    print(report(read_results(given.results)))


if __name__ == "__main__":
    main()
