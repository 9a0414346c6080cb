"""Which features are contrasted: V of the decoder, or the backbone's last map, which nothing is computed twice for."""

from pathlib import Path

import pytest
import torch
from conftest import tiny
from torch import Tensor

from semiseg import train
from semiseg.config.read import Config
from semiseg.contrastive import ContrastiveConfig, ContrastiveModule
from semiseg.cost.step import cost
from semiseg.export.model import prepared
from semiseg.methods import Batch, Step
from semiseg.methods.memory_bank import MemoryBankMethod
from semiseg.networks import Output, upsample
from semiseg.networks.build import build_network, build_network_of
from semiseg.runs import checkpoint
from semiseg.suggest import suggest

TAP = {"method__contrastive__tap": "backbone"}


def build(**changes: object) -> MemoryBankMethod:
    torch.manual_seed(0)
    config = tiny(
        Path("."), Path("."), network__backbone="resnet18", method__contrastive__quality_filter=False, **changes
    )
    return MemoryBankMethod(config, build_network_of(config, 3), 4).train()


def step(iteration: int = 2) -> Step:
    g = torch.Generator().manual_seed(iteration)
    images, labels = torch.rand(4, 3, 32, 48, generator=g), torch.randint(0, 3, (2, 32, 48), generator=g)
    unlabelled = Batch(images[2:], torch.full((2, 32, 48), 255))
    return Step(Batch(images[:2], labels), unlabelled, iteration, torch.Generator().manual_seed(5))


@pytest.mark.parametrize("architecture", ["deeplabv2", "deeplabv3plus"])
def test_the_network_gives_its_deepest_map_and_the_same_logits(architecture: str) -> None:
    torch.manual_seed(0)
    network = build_network(architecture, "resnet18", 4, 16, "none", decoder_channels=24).eval()
    images = torch.rand(1, 3, 64, 96)
    logits, _ = network(images)
    state = network.state_dict()
    network.tap = "backbone"
    tapped_logits, features = network(images)
    assert torch.equal(tapped_logits, logits) and network.state_dict().keys() == state.keys()
    assert torch.equal(features, network.encode(images)[-1])
    assert features.shape == (1, 512, 4, 6) and (network.feature_dim, network.feature_stride) == (512, 16)
    assert len(network(images)) == 2, "others unpack it"


def test_student_teacher_and_heads_follow_and_each_encoder_runs_once() -> None:
    method = build(**TAP)
    assert method.student.tap == method.teacher.tap == "backbone"  # type: ignore[union-attr]
    assert method.contrast.projection.linear1.in_features == 512
    runs = {"student": 0, "teacher": 0}

    def count(name: str) -> None:
        runs[name] += 1

    method.student.backbone.register_forward_hook(lambda *_: count("student"))
    method.teacher.backbone.register_forward_hook(lambda *_: count("teacher"))  # type: ignore[union-attr]
    terms = method.losses(step())
    assert runs == {"student": 1, "teacher": 1}
    assert terms["contrastive"] > 0 and method.contrast.bank.counts.sum() > 0


def test_the_contrastive_gradient_leaves_the_decoder_out() -> None:
    for changes, reached in ((TAP, False), ({}, True)):
        method = build(**changes)
        method.losses(step(1))
        method.losses(step(2))["contrastive"].backward()
        assert method.student.backbone.conv1.weight.grad.abs().sum() > 0
        decoder = [p.grad for p in method.student.decoder.parameters()]
        assert any(g is not None and bool(g.any()) for g in decoder) is reached


@pytest.mark.parametrize(
    "changes",
    [{"training__passes": "in_turn"}, {"training__activation_checkpointing": True}, {"method__profile": "reference"},
     {"method__contrastive__feature_stride": "network"}, {"network__architecture": "deeplabv2"}],
    ids=str,
)  # fmt: skip
def test_steps_with_other_options(changes: dict[str, object]) -> None:
    method = build(**TAP, **changes)
    method.student.recompute = method.training_config.activation_checkpointing
    for iteration in (1, 2):
        terms = method.losses(step(iteration))
        terms["loss"].backward()
        method.after_step(step(iteration))
    assert terms["contrastive"] > 0 and all(torch.isfinite(value) for value in terms.values())


def test_logits_of_another_size_are_averaged_over_the_cells_of_the_features() -> None:
    """The quality filter asks for the teacher's probabilities where the vectors are."""
    torch.manual_seed(0)
    contrast = ContrastiveModule(ContrastiveConfig(bank_size=8, dim=8), 5, 3, labelled=1)
    cells = torch.tensor([[[0, 1], [2, 0]]])
    logits = torch.zeros(1, 3, 16, 16)
    for c in range(3):
        logits[:, c] = 9.0 * (cells.repeat_interleave(8, 1).repeat_interleave(8, 2) == c)
    logits[:, :, :8, 8:] = torch.randn(1, 3, 8, 8) * 0.1  # unsure about the second cell
    labels = cells.repeat_interleave(32, 1).repeat_interleave(32, 2)  # logits at stride 4, features at 32
    contrast.fill_bank(Output(logits, torch.randn(1, 5, 2, 2)), labels, torch.Generator())
    assert contrast.bank.counts.tolist() == [2, 0, 1]


def test_a_run_its_suggestions_and_its_export(folder: Path, tmp_path: Path) -> None:
    result = train(
        tiny(folder, tmp_path / "run", network__backbone="resnet18", data__labelled="2", **TAP), progress=False
    )
    found = suggest(result.run_dir, 3)
    assert all(s.distance is not None for s in found)
    model = checkpoint.load_model(result.run_dir, "last")
    state = checkpoint.load(result.run_dir / "checkpoints" / "last.pt")["method"]
    assert state["contrast.projection.linear1.weight"].shape[1] == 512
    assert state["contrast.bank.slots"].shape == (3, 8, 16)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        logits: Tensor = prepared(model)(images)
        assert torch.equal(logits, upsample(model.network(images).logits, (64, 64)))


def test_the_cost_is_that_of_wider_features() -> None:
    words = ["network.backbone=resnet18", "network.architecture=deeplabv3plus", "network.pretrained=none",
             "network.output_stride=16", "data.crop=64", "training.batch_size=2"]  # fmt: skip
    plain, tapped = (
        cost(Config.parse({}, [*words, f"method.contrastive.tap={tap}"]), 5) for tap in ("decoder", "backbone")
    )
    assert plain.flops["labelled"] == tapped.flops["labelled"]
    g, q = 512 * 256 + 256 * 256, 2 * 256 * 256
    assert tapped.flops["heads"] == 2 * 4 * 4 * (2 * (g + q) + g)
    wider = tapped.parameters["heads and attention"] - plain.parameters["heads and attention"]
    assert wider == (512 - 256) * 256
