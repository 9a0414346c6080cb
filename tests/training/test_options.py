"""Options that must not change what is computed, or say by how much."""

from functools import partialmethod
from pathlib import Path

import pytest
import torch
from conftest import tiny
from torch import nn

from semiseg import train
from semiseg.config.read import ContrastiveConfig
from semiseg.contrastive import ContrastiveModule
from semiseg.networks.activation_checkpointing import recomputed
from semiseg.networks.segmentation import Output


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    return torch.load(run_dir / "checkpoints" / "last.pt", weights_only=True)["method"]


def test_activation_checkpointing_gives_the_same_run(folder: Path, tmp_path: Path) -> None:
    for name in ("False", "True"):
        train(tiny(folder, tmp_path / name, training__activation_checkpointing=name), progress=False)
    plain, saving = weights(tmp_path / "False"), weights(tmp_path / "True")
    assert plain.keys() == saving.keys()
    for key, value in plain.items():
        assert torch.equal(value, saving[key]), key


def test_recomputing_keeps_fewer_tensors_for_the_backward_pass() -> None:
    layers = [layer for _ in range(6) for layer in (nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())]
    module = nn.Sequential(*layers).train()
    kept = {}
    for active in (False, True):
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: s.append(t.numel()) or t, lambda t: t):
            recomputed(module, torch.rand(2, 4, 8, 8, requires_grad=True), active)
        kept[active] = sum(sizes)
    assert kept[True] < kept[False] / 4


def test_compiled_networks_give_the_same_losses(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = train(tiny(folder, tmp_path / "plain"), progress=False)
    # The compiler's own kernels take minutes; tracing and the call in the loop are what is ours.
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="aot_eager"))
    compiled = train(tiny(folder, tmp_path / "compiled", training__compile=True), progress=False)
    assert compiled.last_miou == pytest.approx(plain.last_miou, abs=1.0)
    mine, theirs = weights(tmp_path / "plain"), weights(tmp_path / "compiled")
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        torch.testing.assert_close(value, theirs[key], rtol=1e-3, atol=1e-4, msg=key)


def contrast(most: int | None) -> ContrastiveModule:
    torch.manual_seed(0)
    config = ContrastiveConfig(dim=8, bank_size=4, quality_filter=False, max_pixels_per_class=most)
    module = ContrastiveModule(config, 6, num_classes=3, labelled=2).train()
    g = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (2, 8, 8), generator=g)
    module.fill_bank(Output(torch.randn(2, 3, 8, 8, generator=g), torch.randn(2, 6, 8, 8, generator=g)), labels, g)
    return module


def test_a_generous_limit_of_pixels_changes_nothing() -> None:
    g = torch.Generator().manual_seed(2)
    features, labels = torch.randn(4, 6, 8, 8, generator=g), torch.randint(0, 3, (4, 8, 8), generator=g)
    labels[0, :2] = 255
    whole, limited = contrast(None).loss(features, labels, 2), contrast(1000).loss(features, labels, 2)
    torch.testing.assert_close(limited, whole, rtol=1e-5, atol=1e-6)


def test_the_limit_holds_for_every_class_and_half() -> None:
    module = contrast(5)
    g = torch.Generator().manual_seed(2)
    v, flat = torch.randn(256, 6, generator=g), torch.randint(0, 3, (256,), generator=g)
    flat[3:60] = 255
    some, classes, split = module._sampled(v, flat, 128, 5)
    assert len(some) == len(classes) == 30 and split == 15
    for half in (classes[:split], classes[split:]):
        assert [int((half == c).sum()) for c in range(3)] == [5, 5, 5]
    rows = {tuple(row.tolist()): int(label) for row, label in zip(v, flat, strict=True)}
    assert all(rows[tuple(row.tolist())] == int(label) for row, label in zip(some, classes, strict=True))
    again = module._sampled(v, flat, 128, 5)[0]
    assert not torch.equal(some, again)  # another draw at every step
