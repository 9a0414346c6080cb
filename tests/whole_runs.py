"""Runs of seconds of any registered method; test_runs.py makes them in one process and starts this file in two.

python whole_runs.py IMAGES RUNS METHOD ...

METHOD is a name, or ``name+bank`` for one with a bank beside it.
"""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import count_no_memory, tiny
from together import recorded
from torch import Tensor

from semiseg import Config
from semiseg.methods import corrmatch, method_names
from semiseg.methods.ael import AEL
from semiseg.networks.correlation import Correlation
from semiseg.runtime import distributed
from semiseg.training import loop

EVERY = (*method_names(), "fixmatch+bank", "unimatch+bank", "u2pl+bank", "cbc+bank")
"""The bank beside one with a teacher, without, whose teacher sees the labelled crops anyway, and with rounds."""
STEPS = 4
SHORT: dict[str, list[str]] = {  # what acts within so few steps
    "cbc": ["rounds.first=0.25", "rounds.count=2"], "dmt": ["rounds.first=0.25", "rounds.count=1"],
    "prevmatch": ["previous.every=0.25"], "s4gan": ["multi_label.enabled=true", "pseudo.score_threshold=0"],
    "adversarial": ["pseudo.score_threshold=0", "pseudo.start=0"], "u2pl": ["contrastive.bank_size=16"],
    "context_aware": ["contrastive.stored=32", "contrastive.least_confidence=0"],
    "patch_contrast": ["contrastive.patch=8", "contrastive.alike=0.8", "contrastive.confidence_threshold=0"],
    **{name: ["pseudo.confidence_threshold=0"] for name in ("augseg", "classmix", "corrmatch", "cutmix", "cutout",
       "fixmatch", "reco", "unimatch", "unimatch_v2")},
}  # fmt: skip
NOT_DRAWN: dict[str, list[str]] = {  # settings by which a method draws nothing: every process draws for its own crops
    "ael": ["pseudo.paste_probability=0", "pseudo.sampling=0"],
    "augseg": ["pseudo.labelled_rectangles=false", "pseudo.mix_probability=0", "pseudo.colours=shared"],
    **{name: ["pseudo.dropout=0"] for name in ("unimatch", "prevmatch", "corrmatch")},
    "unimatch_v2": ["pseudo.dropped=0"], "s4gan": ["critic.dropout=0"],
    "prevmatch": ["previous.most=1", "pseudo.dropout=0"],
    # Queries, keys and patches are those of each process by themselves, as their pages say.
    "reco": ["weights.contrastive=0"], "u2pl": ["weights.contrastive=0"], "patch_contrast": ["weights.contrastive=0"],
}  # fmt: skip


def configured(images: Path, run_dir: Path, name: str, *words: str, **changes: Any) -> Config:
    """Four steps; ``words`` are of the method's own section."""
    name, _, bank = name.partition("+")
    own = [*SHORT.get(name, []), *words]
    usual: dict[str, Any] = {
        "method__name": name, "method__warmup": 0, "training__validate_every": STEPS, "training__iterations": STEPS,
        "training__checkpoint_every": 2, "method__bank": bool(bank), "method__bank__bank_size": 8,
        "method__bank__dim": 16, "method__bank__quality_filter": False,
    }  # fmt: skip
    keys = {f"method.{name}.{word.partition('=')[0]}".replace(".", "__"): word.partition("=")[2] for word in own}
    return tiny(images, run_dir, **usual | keys | changes)


def whole(config: Config, resume: bool = False) -> dict[str, Tensor]:
    """Train it, and what its method then holds."""
    run = loop.Run(config, resume=resume)
    run.train(progress=False)
    return run.method.state_dict()


def undrawn(patch: pytest.MonkeyPatch) -> None:
    """Nothing is pasted or cut: what a crop gets from its neighbour depends on who its neighbour is."""

    def nothing(batch: int, height: int, width: int, *_: Any, **__: Any) -> Tensor:
        return torch.zeros(batch, height, width, dtype=torch.bool)

    for name in ("augseg", "cutmix", "cutout", "fixmatch", "reco", "u2pl", "unimatch", "unimatch_v2"):
        patch.setattr(f"semiseg.methods.{name}.cutmix_masks", nothing)
    patch.setattr("semiseg.methods.base.views.Views.mix", lambda views, labels, probability, step, *given: given)
    patch.setattr(AEL, "cut_class", lambda method, step, *given: given)
    # Of equally good regions the one that was drawn first is taken.
    patch.setattr(corrmatch, "region_labels", lambda alike, y, *_: (y, torch.zeros_like(y, dtype=torch.bool)))
    correlate = Correlation.forward

    def alike(module: Correlation, features: Tensor, shown: Tensor, draws: Any = None) -> Tensor:
        module.reduce[1].eval()  # its BatchNorm is one of every process by itself
        return correlate(module, features, shown)

    patch.setattr(Correlation, "forward", alike)


def trained(images: Path, run_dir: Path, name: str) -> dict[str, Any]:
    """Gradients of each step of a run in float64, and the state after it. Its joint batch is the same for any number
    of processes; no BatchNorm sees a part of the batch only, and nothing is drawn."""
    config = configured(
        images, run_dir, name, *NOT_DRAWN.get(name.partition("+")[0], []), network__architecture="deeplabv2",
        network__batch_norm="frozen", training__batch_size=4, method__profile="equal",
    )  # fmt: skip
    found = recorded(config)
    # What is stored of a step stands in the order of the processes.
    stored = ("keys", "key_labels")
    return found | {"state": {key: value for key, value in found["state"].items() if key not in stored}}


def main(images: str, runs: str, *names: str) -> None:
    torch.set_num_threads(1)
    count_no_memory(pytest.MonkeyPatch())
    with pytest.MonkeyPatch.context() as patch:
        undrawn(patch)
        found = {name: trained(Path(images), Path(runs) / name, name) for name in names}
    torch.save(found, Path(runs) / f"found.{distributed.rank()}")
    distributed.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
