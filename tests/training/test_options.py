"""Options that must not change what is computed, or say by how much."""

from functools import partialmethod
from pathlib import Path

import pytest
import torch
from conftest import tiny
from torch import nn

from semiseg import Config, train
from semiseg.contrastive import ContrastiveConfig, ContrastiveModule
from semiseg.methods import Batch, Step, method_class
from semiseg.methods.base.views import NOTHING
from semiseg.networks import Output
from semiseg.networks.activation_checkpointing import recomputed
from semiseg.networks.build import build_network_of
from semiseg.training.loop import Run


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


def one_step(config: Config, compiled: bool) -> dict[str, torch.Tensor]:
    """Losses and gradients of one float64 step of ``memory_bank``, its networks compiled or not."""
    torch.manual_seed(3)
    method = method_class(config.method.name)(config, build_network_of(config, 3), labelled=4).double().train()
    method.views.strong_set = method.views.weak_set = NOTHING
    if compiled:
        method.student.compile()
        method.teacher.compile()
    draws = torch.Generator().manual_seed(7)
    images, labels = torch.rand(4, 3, 32, 32, generator=draws), torch.randint(0, 3, (4, 32, 32), generator=draws)
    labelled, unlabelled = (Batch(images[part], labels[part]) for part in (slice(2), slice(2, None)))
    losses = method.losses(Step(labelled, unlabelled, 2, torch.Generator().manual_seed(0)))
    losses["loss"].backward()
    gradients = {name: p.grad for name, p in method.named_parameters() if p.grad is not None}
    return {name: value.detach() for name, value in losses.items()} | gradients


def test_a_step_of_compiled_networks_is_the_same(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The compiler's own kernels take minutes; tracing and the call in the loop are what is ours.
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="aot_eager"))
    config = tiny(folder, tmp_path / "run")
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        plain, compiled = one_step(config, False), one_step(config, True)
    finally:
        torch.set_default_dtype(default)
    assert plain.keys() == compiled.keys() and len(plain) > 60
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-7, atol=1e-10, msg=name)


def test_training_compiles_student_and_teacher(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(module))
    train(tiny(folder, tmp_path / "run", training__compile=True), progress=False)
    assert [type(module).__name__ for module in compiled] == ["SegmentationNetwork"] * 2
    assert compiled[0] is not compiled[1]


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


def test_images_and_weights_lie_as_channels_last_says(folder: Path, tmp_path: Path) -> None:
    for name, dense in (("true", torch.channels_last), ("false", torch.contiguous_format)):
        run = Run(tiny(folder, tmp_path / name, training__channels_last=name))
        assert run.layout == dense
        for network in (run.method.student, run.method.teacher):
            assert network.backbone.conv2.weight.is_contiguous(memory_format=dense)
        run.lock.release()


@pytest.mark.parametrize("asked", [True, False])
def test_kernels_are_deterministic_where_asked(asked: bool, folder: Path, tmp_path: Path) -> None:
    before = torch.are_deterministic_algorithms_enabled()
    try:
        Run(tiny(folder, tmp_path / "run", training__deterministic=asked)).lock.release()
        assert torch.are_deterministic_algorithms_enabled() is asked
    finally:
        torch.use_deterministic_algorithms(before)
