"""All methods beside ``supervised`` on small copies of the nuclei: equal steps, crops and seconds, profile ``equal``.

    SEMISEG_NUCLEI=FOLDER OMP_NUM_THREADS=1 python benchmarks/all_methods.py     # in one shell or two
    python benchmarks/all_methods.py --table

The protocol is that of ``gain.py`` at a size at which twenty-three methods fit on one core: images and masks of half
the width and height, crops of 64 pixels, 400 steps of four labelled crops. Supervised runs at equal seconds have a
multiple of 200 steps, rounded up, in favour of ``supervised``. A method that trains in rounds has no time of a step
and is compared at equal steps and crops. Borders of nuclei are a single pixel here, so that no figure is to be
compared with those of ``gain.py``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

import numpy as np
from gain import numbers, words_of
from PIL import Image

from semiseg.config.method import method_sections
from semiseg.errors import SemisegError
from semiseg.experiments.comparison.data import Data
from semiseg.experiments.comparison.runs import Comparison
from semiseg.experiments.comparison.table import report
from semiseg.experiments.results import read_results

NAME = "nuclei_half"
RESULTS = Path(__file__).parent / "results" / "all_methods.json"
DATA = Data(
    "folder", 400, ("12",), ("data.crop=64", "data.workers=0", "data.cache=true"), "SEMISEG_NUCLEI_HALF",
    shared_seconds=200,
)  # fmt: skip
LAST = ("dmt", "error_correcting", "cbc", "context_aware")
"""Several times as dear as the others."""


def halved(folder: Path, target: Path) -> Path:
    """A copy of the nuclei with every second pixel of the masks and the mean of four pixels of the images."""
    if target.exists():
        return target
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(folder, partial)
    for path in sorted(partial.rglob("*.png")):
        with Image.open(path) as image:
            if "masks" in path.relative_to(partial).parts:
                smaller = Image.fromarray(np.asarray(image)[::2, ::2])
            else:
                smaller = image.reduce(2)
        smaller.save(path)
    partial.rename(target)
    return target


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    methods = [name for name in method_sections() if name != "supervised"]
    parser.add_argument("--methods", type=words_of, default=sorted(methods, key=lambda name: name in LAST))
    parser.add_argument("--splits", type=numbers, default=[1, 2, 3])
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-all-methods"), help="runs in progress")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="run nothing")
    given = parser.parse_args(arguments)
    if not given.table:
        if not os.environ.get("SEMISEG_NUCLEI"):
            parser.error("set SEMISEG_NUCLEI to the folder of the nuclei: semiseg data get nuclei")
        try:
            root = halved(Path(os.environ["SEMISEG_NUCLEI"]), given.work / NAME)
            comparison = Comparison(
                NAME, DATA, given.results, given.work, str(root), None, typed="python benchmarks/all_methods.py"
            )
            comparison.run_all(given.methods, ["12"], given.splits, ["steps", "crops", "seconds"])
        except SemisegError as error:
            parser.exit(1, f"{error}\n")
        for run, reason in comparison.failed:
            print(f"{run} failed: {reason}", file=sys.stderr)
    print(report(read_results(given.results)))


if __name__ == "__main__":
    main()
