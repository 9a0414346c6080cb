"""Runs in rounds that are stopped anywhere give the same bits when they go on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny
from own_methods_runs import assert_same, kept

from semiseg import Config
from semiseg.data.stored_labels import StoredLabels
from semiseg.methods.base import Step
from semiseg.training.loop import Run


def config(images: Path, run: Path, name: str) -> Config:
    """A supervised step and four with stored labels, in two rounds of one student, or a turn each of two."""
    return tiny(
        images, run, method__name=name, **{f"method__{name}__rounds__count": 2 if name == "cbc" else 1},
        training__iterations=5, training__validate_every=5, training__checkpoint_every=1,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "stop"), [("cbc", 2), ("dmt", 3)])  # within a round, and when one has just begun
def test_stopped_and_resumed_is_bit_equal(name: str, stop: int, images: Path, tmp_path: Path) -> None:
    whole, halved = (config(images, tmp_path / word, name) for word in ("whole", "halved"))
    Run(whole).train(progress=False)
    run = Run(halved)
    losses = run.method.losses

    def fails(step: Step) -> Any:
        if step.iteration == stop:
            raise RuntimeError("power cut")
        return losses(step)

    run.method.losses = fails  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="power cut"):
        run.train(progress=False)
    torch.rand(7)  # the global generator stands elsewhere now
    Run(halved, resume=True).train(progress=False)
    assert_same(kept(Path(whole.run_dir)), kept(Path(halved.run_dir)))
    one, two = (StoredLabels(Path(c.run_dir) / "pseudo_labels" / "round_2") for c in (whole, halved))
    assert one.indices() == two.indices() and len(one.indices()) == 7
    assert all((one.read(i)[0] == two.read(i)[0]).all() for i in one.indices())
