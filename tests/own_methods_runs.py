"""What the tests of examples/own_methods share: its methods, words for a run of seconds, and what a run leaves."""

import importlib
import json
from pathlib import Path
from typing import Any

import torch

from semiseg.config import method as method_config
from semiseg.config import read
from semiseg.data.stored_labels import StoredLabels
from semiseg.runs import checkpoint
from semiseg.runs.metrics import read_metrics
from semiseg.runtime import plugins

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "examples" / "own_methods"
TERMS = {
    "adversary": ("supervised", "adversarial", "critic"),
    "overlap": ("supervised", "consistency"),
    "two_rounds": ("supervised", "stored"),
    "two_students": ("supervised", "cross"),
}
WORDS = [
    "data.crop=32", "data.workers=0", "network.backbone=four_convolutions", "network.pretrained=none",
    "network.decoder_channels=16", "training.device=cpu",
    "training.iterations=4", "training.batch_size=2", "training.log_every=1", "training.tensorboard=false",
    "training.validate_every=4", "training.checkpoint_every=4",
]  # fmt: skip


def look_again() -> None:
    """Forget which packages are installed."""
    importlib.invalidate_caches()
    for cached in (plugins.installed, plugins.method_names, method_config.method_sections, method_config.complete,
                   read._complete):  # fmt: skip
        cached.cache_clear()


def kept(run: Path) -> dict[str, Any]:
    """What must be the same, bit for bit, whether a run was stopped or not."""
    state = checkpoint.load(run / "checkpoints" / "last.pt")
    timed = ("images_per_second", "data_wait", "seconds")
    labels = StoredLabels(run / "pseudo_labels" / "round_1")
    return {
        "weights": dict(state["method"]),
        "momenta": {name: optimiser["state"] for name, optimiser in state["optimisers"].items()},
        "metrics": json.dumps([{k: v for k, v in row.items() if k not in timed} for row in read_metrics(run)]),
        "labels": {index: [part.tolist() for part in labels.read(index)] for index in labels.indices()},
    }


def assert_same(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert (one["metrics"], one["labels"]) == (two["metrics"], two["labels"])
    for part in ("weights", "momenta"):
        torch.testing.assert_close(one[part], two[part], rtol=0, atol=0)
