"""A backbone that stays as it is: by ``network.freeze_backbone``, or by a learning rate of 0."""

from pathlib import Path

import pytest
import torch
from conftest import tiny
from torch import nn

from semiseg.networks import build_network
from semiseg.runs.checkpoint import load_model
from semiseg.training.loop import Run


def state(run: Run) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in run.method.state_dict().items() if isinstance(v, torch.Tensor)}


@pytest.mark.parametrize("method", ["fixmatch", "unimatch_v2"])
def test_decoder_and_classifier_learn_alone_and_statistics_stay(folder: Path, tmp_path: Path, method: str) -> None:
    config = tiny(folder, tmp_path / "run", network__freeze_backbone=True, method__name=method,
                  network__architecture="dpt", training__optimizer="adamw", training__weight_decay=0.1,
                  training__iterations=2, training__batch_norm_refresh=1,
                  method__teacher__momentum_start=0.5)  # fmt: skip
    run = Run(config)
    before = state(run)
    run.train(progress=False)
    after = run.method.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert not {name for name in moved if ".backbone." in name}
    learning = {name for name, _ in run.method.student.named_parameters() if not name.startswith("backbone.")}
    assert {f"{network}.{name}" for network in ("student", "teacher") for name in learning} <= moved
    assert {p for group in run.optimisers.groups for p in group.parameters} == set(
        run.method.student.classifier_parameters()
    )
    network = load_model(tmp_path / "run", "last").network
    assert all(
        torch.equal(value, after[f"student.{k}"]) for k, value in network.state_dict().items() if "extra" not in k
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_rate_of_0_is_exact(folder: Path, tmp_path: Path, optimizer: str) -> None:
    config = tiny(folder, tmp_path / "run", method__name="fixmatch", training__optimizer=optimizer,
                  training__weight_decay=0.1, training__iterations=3, training__lr_multipliers__backbone=0,
                  training__lr_multipliers__stem=0)  # fmt: skip
    run = Run(config)
    before = state(run)
    run.train(progress=False)
    after = run.method.state_dict()
    weights = {f"student.backbone.{name}" for name, _ in run.method.student.backbone.named_parameters()}
    assert all(torch.equal(before[name], after[name]) for name in weights)
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert any(name.startswith("student.decoder.") for name in moved)
    assert any("running_mean" in name and name.startswith("student.backbone.") for name in moved), "unlike a frozen one"


def test_a_frozen_backbone_keeps_nothing_for_gradients() -> None:
    kept = {}
    for frozen in (False, True):
        torch.manual_seed(0)
        network = build_network("dpt", "resnet18", 5, 16, "none", decoder_channels=8, freeze_backbone=frozen).train()
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: s.append(t.numel()) or t, lambda t: t):
            logits = network(torch.rand(2, 3, 32, 48)).logits
        logits.square().mean().backward()
        assert all((p.grad is None) is frozen for p in network.backbone.parameters())
        assert all(p.grad is not None and p.grad.any() for p in network.classifier_parameters())
        kept[frozen] = sum(sizes)
        norms = [m for m in network.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
        assert all(m.training is not frozen for m in norms)
        assert (network.backbone_parameters() == []) is frozen
    assert kept[True] < kept[False] / 2
    assert not any(m.training for m in network.eval().modules())
    assert network.train().decoder.training and not network.backbone.training
    images = torch.rand(1, 3, 32, 48)
    assert torch.equal(network.eval()(images).logits, network.train()(images).logits)
