"""Runs of own methods in float64; test_own_methods.py calls it in one process and starts it in two.

python own_methods_worker.py IMAGES RUNS METHOD ...

METHOD is a name, or ``name@0.5`` for one with ``method.stages=0.5``.
"""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import count_no_memory, tiny
from together import recorded

from semiseg.runtime import distributed


def trained(images: Path, run_dir: Path, name: str) -> dict[str, Any]:
    """Gradients of each step of a run and the state after it. Its joint batch is the same for any number of processes.

    No BatchNorm sees a part of the batch only, and nothing is drawn, since each process draws its own augmentation.
    """
    name, _, stages = name.partition("@")
    config = tiny(
        images, run_dir, method__name=name, method__stages=stages or 0, network__architecture="deeplabv2",
        network__batch_norm="frozen", network__backbone="four_convolutions", training__batch_size=4,
        training__iterations=2, training__validate_every=2, training__checkpoint_every=2,
    )  # fmt: skip
    return recorded(config)


def main(images: str, runs: str, *names: str) -> None:
    torch.set_num_threads(1)
    count_no_memory(pytest.MonkeyPatch())
    found = {name: trained(Path(images), Path(runs) / name, name) for name in names}
    torch.save(found, Path(runs) / f"found.{distributed.rank()}")
    distributed.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
