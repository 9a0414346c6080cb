"""A run without any statistics of a batch: BatchNorm frozen in the backbone, GroupNorm in the decoder."""

import json
from pathlib import Path

import pytest
import torch
from conftest import tiny
from torch import nn

from semiseg.runs.checkpoint import load_model
from semiseg.training.loop import Run


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_frozen_statistics_stay_in_student_and_teacher_and_all_else_learns(
    folder: Path, tmp_path: Path, optimizer: str
) -> None:
    config = tiny(folder, tmp_path / "run", network__batch_norm="frozen", network__decoder_norm="group",
                  method__name="fixmatch", training__optimizer=optimizer, training__weight_decay=0.1,
                  training__iterations=2, training__batch_norm_refresh=1, training__batch_norm_refresh_teacher=True,
                  method__teacher__momentum_start=0.5)  # fmt: skip
    run = Run(config)
    norms = {n for n, m in run.method.student.backbone.named_modules() if isinstance(m, nn.BatchNorm2d)}
    before = {name: value.clone() for name, value in run.method.state_dict().items() if isinstance(value, torch.Tensor)}
    run.train(progress=False)
    after = run.method.state_dict()
    for network in ("student", "teacher"):
        frozen = {f"{network}.backbone.{name}" for name in norms}
        moved = {
            name for name in before
            if name.startswith(f"{network}.") and not torch.equal(before[name], after[name])
        }  # fmt: skip
        assert not {name for name in moved if name.rpartition(".")[0] in frozen}
        learning = {f"{network}.{name}" for name, p in run.method.student.named_parameters() if p.requires_grad}
        assert moved == learning


def test_its_checkpoint_is_read_back_and_predicts_in_any_batch(folder: Path, tmp_path: Path) -> None:
    config = tiny(folder, tmp_path / "run", network__batch_norm="frozen", network__decoder_norm="group",
                  method__name="supervised", training__iterations=2)  # fmt: skip
    run = Run(config)
    run.train(progress=False)
    network = load_model(tmp_path / "run", "last").network
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.decoder.modules())
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        trained, loaded = run.method.student.train()(images).logits, network.eval()(images[1:2]).logits
    torch.testing.assert_close(trained[1:2], loaded, rtol=1e-4, atol=1e-5)
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["last"]
