"""What stands at the end of a run: last.pt and evaluation.json speak of the same weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny

import semiseg
from semiseg.runs import checkpoint
from semiseg.training import loop
from semiseg.training.validating import Validator


def falling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Validations that the loop asks for get worse and worse, whatever the weights."""
    real, seen = Validator.validate, []

    def validate(self: Validator, *words: Any) -> float:
        seen.append(None)
        self.miou = -1.0 if len(seen) == 1 else 100.0
        return real(self, *words)

    monkeypatch.setattr(Validator, "validate", validate)


def test_a_reload_goes_back_to_the_best_weights(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    falling(monkeypatch)
    config = tiny(folder, tmp_path / "run", method__name="supervised", training__plateau_patience=1,
                  training__validate_every=1, training__iterations=3)  # fmt: skip
    loaded: list[int] = []
    load = checkpoint.load
    monkeypatch.setattr(checkpoint, "load", lambda *a: loaded.append(1) or load(*a))
    run = loop.Run(config)
    run.train(progress=False)
    assert len(loaded) == 1, "after step 2; after the last step nothing would profit from a reload"
    monkeypatch.undo()
    written = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert semiseg.evaluate(tmp_path / "run").confusion.tolist() == written["last"]["confusion"]
    assert semiseg.evaluate(tmp_path / "run", which="best").confusion.tolist() == written["best"]["confusion"]
    best, last = (load(tmp_path / "run" / "checkpoints" / f"{n}.pt")["method"] for n in ("best", "last"))
    assert not all(torch.equal(best[key], last[key]) for key in best)


def test_gradients_are_clipped_and_accumulated_as_a_larger_batch(folder: Path, tmp_path: Path) -> None:
    steps: dict[str, list[torch.Tensor]] = {}
    for name, changes in {
        "small": {"training__accumulation": 2, "training__batch_size": 1},
        "clipped": {"training__accumulation": 2, "training__batch_size": 1, "training__gradient_clip": 0.001},
    }.items():
        config = tiny(folder, tmp_path / name, method__name="supervised", training__iterations=1,
                      training__momentum=0, training__weight_decay=0, training__learning_rate=0.5,
                      network__batch_norm="frozen", **changes)  # fmt: skip
        run = loop.Run(config)
        before = [p.detach().clone() for p in run.method.student.parameters()]
        run.train(progress=False)
        after = [p.detach() for p in run.method.student.parameters()]
        steps[name] = [(b - a) / 0.5 for a, b in zip(after, before, strict=True)]
    norms = {name: torch.cat([s.flatten() for s in moved]).norm().item() for name, moved in steps.items()}
    assert norms["clipped"] == pytest.approx(0.001, rel=0.02) and norms["small"] > 0.01
    scale = norms["clipped"] / norms["small"]
    for free, clipped in zip(steps["small"], steps["clipped"], strict=True):
        torch.testing.assert_close(free * scale, clipped, rtol=0.05, atol=1e-6)
