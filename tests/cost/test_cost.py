"""The count of a step: against arithmetic by hand, against a real pass, and beside the paper."""

import json

import pytest
import torch
from typer.testing import CliRunner

from semiseg.cli import app
from semiseg.config.read import Config
from semiseg.cost.run import count_run
from semiseg.cost.step import PAPER, PAPER_TOTAL, cost
from semiseg.losses import weighted_cross_entropy
from semiseg.methods import Batch, Step, method_class
from semiseg.networks import upsample
from semiseg.networks.build import build_network_of
from semiseg.runtime.flops import count_flops

SMALL = ["network.backbone=resnet18", "network.pretrained=none", "network.output_stride=16", "data.crop=64",
         "training.batch_size=2"]  # fmt: skip


def test_the_papers_figures_and_where_they_come_from() -> None:
    assert sum(PAPER.values()) == pytest.approx(PAPER_TOTAL)
    reference = cost(Config.load("table5_all", ["network.aspp=reference"]), 19)
    # The network as the authors' code has it, COCO's Caffe variant with two branches: within half a percent.
    assert reference.flops["labelled"] / 1e9 == pytest.approx(PAPER["labelled"], rel=0.005)
    vectors = 65 * 65  # features of a 512×512 crop in that variant
    # Heads: 8.59 are multiply-adds; two passes of the student's g and q, one of the teacher's g.
    g, q = 2048 * 256 + 256 * 256, 2 * 256 * 256
    assert reference.flops["heads"] == 2 * vectors * (2 * (g + q) + g)
    assert vectors * (2 * (g + q) + g) / 1e9 == pytest.approx(PAPER["heads"], rel=0.002)
    # Attention: every vector of the three passes through the networks of all 19 classes.
    assert 3 * vectors * 19 * (256 * 256 + 256) / 1e9 == pytest.approx(PAPER["attention"], rel=0.01)
    # Distances: each of the student's vectors with each of the bank's 19·256.
    assert 2 * vectors * 19 * 256 * 256 / 1e9 == pytest.approx(PAPER["distances"], rel=0.001)
    # Here a vector passes the network of its class, and no distance is formed.
    assert reference.flops["attention"] == 2 * (3 * vectors + 19 * 256) * (256 * 256 + 256)
    assert reference.flops["distances"] < 0.01 * 1e9


def test_parameters_are_those_of_the_network() -> None:
    config = Config.parse({}, SMALL)
    network = build_network_of(config, 5)
    assert cost(config, 5).parameters["student"] == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("words", "crops"),
    [
        (["method.name=supervised"], 2),
        (["method.name=supervised", "training.accumulation=3"], 6),
        (["method.name=fixmatch"], 2 + 2),
        (["method.name=fixmatch", "training.unlabelled_ratio=2"], 2 + 4),
        (["method.name=fixmatch", "method.fixmatch.pseudo.views=2"], 2 + 2 * 2),
        (["method.name=unimatch"], 2 + 3 * 2),
        (["method.name=corrmatch"], 2 + 2 * 2),
        (["method.name=memory_bank"], 2 + 2 * 2),
    ],
)
def test_crops_of_a_step(words: list[str], crops: int) -> None:
    assert count_run(Config.parse({}, [*SMALL, *words]), 3).crops == crops


def test_crops_of_a_run_in_stages() -> None:
    words = ["method.name=fixmatch", "method.stages=0.4", "training.iterations=10"]
    run = count_run(Config.parse({}, [*SMALL, *words]), 3)
    assert run == (4, 1, 4, 2)
    assert [run.all_crops(steps) for steps in (3, 4, 10)] == [6, 8, 8 + 6 * 4]


def test_activations_are_what_a_real_pass_keeps() -> None:
    config = Config.parse({}, [*SMALL, "method.name=supervised"])
    network = build_network_of(config, 5).train()
    own = {t.untyped_storage().data_ptr() for t in (*network.parameters(), *network.buffers())}
    kept: dict[int, int] = {}
    alive = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        alive.append(tensor)
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    labels = torch.zeros(2, 64, 64, dtype=torch.int64)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        weighted_cross_entropy(upsample(network(torch.rand(2, 3, 64, 64)).logits, (64, 64)), labels)
    assert cost(config, 5).memory["activations"] == pytest.approx(sum(kept.values()), rel=0.05)


def test_more_crops_and_half_precision_move_the_memory_as_they_should() -> None:
    one, two, half = (
        cost(Config.parse({}, [*SMALL, *words]), 5)
        for words in ([], ["training.batch_size=4"], ["training.precision=bf16", "training.device=cuda"])
    )
    assert two.memory["activations"] == pytest.approx(2 * one.memory["activations"], rel=0.1)
    assert half.memory["activations"] == one.memory["activations"] // 2
    assert two.flops == one.flops and two.step_flops == 2 * one.step_flops
    assert one.memory["optimiser"] == one.memory["gradients"]
    adamw = cost(Config.parse({}, [*SMALL, "training.optimizer=adamw"]), 5)
    assert adamw.memory["optimiser"] == 2 * one.memory["optimiser"]
    alone = cost(Config.parse({}, [*SMALL, "method.name=supervised"]), 5)
    assert set(alone.flops) == {"labelled"} and alone.memory["teacher"] == 0


def test_what_has_no_weight_is_not_counted() -> None:
    whole, no_bank, no_entropy, students = (
        cost(Config.parse({}, [*SMALL, *words]), 5)
        for words in (
            [],
            ["method.weights.contrastive=0"],
            ["method.weights.entropy=0"],
            ["method.contrastive.teacher_features=false"],
        )
    )
    labelled = 2 * whole.flops["pseudo-labels"]  # two labelled crops that the teacher need not see
    assert whole.step_flops - students.step_flops == labelled
    further = sum(whole.flops[part] for part in ("heads", "attention", "distances"))
    images = 2 + 2 * 2  # labelled crops, and two views of each unlabelled one
    assert whole.step_flops - no_bank.step_flops == labelled + 3 * further * images // 2
    assert no_entropy.memory["activations"] < whole.memory["activations"]
    assert no_entropy.flops == whole.flops


@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet_lite0"])
def test_options_that_save_memory_are_counted(backbone: str) -> None:
    words = [*SMALL, f"network.backbone={backbone}", "network.architecture=deeplabv3plus", "data.crop=128"]
    plain, blocks, in_turn, both = (
        cost(Config.parse({}, [*words, *more]), 5).memory["activations"]
        for more in (
            [],
            ["training.activation_checkpointing=true"],
            ["training.passes=in_turn"],
            ["training.activation_checkpointing=true", "training.passes=in_turn"],
        )
    )
    assert both < min(blocks, in_turn) and max(blocks, in_turn) < 0.95 * plain


def test_activations_kept_with_checkpointing_are_what_a_real_pass_keeps() -> None:
    config = Config.parse({}, [*SMALL, "method.name=supervised", "training.activation_checkpointing=true"])
    network = build_network_of(config, 5).train()
    network.recompute = True
    now = most = 0

    def keep(tensor: torch.Tensor) -> tuple[torch.Tensor, int]:
        nonlocal now, most
        now += tensor.untyped_storage().nbytes()
        most = max(most, now)
        return tensor, tensor.untyped_storage().nbytes()

    def give(kept: tuple[torch.Tensor, int]) -> torch.Tensor:
        return kept[0]

    with torch.autograd.graph.saved_tensors_hooks(keep, give):
        loss = weighted_cross_entropy(
            upsample(network(torch.rand(2, 3, 64, 64)).logits, (64, 64)), torch.zeros(2, 64, 64, dtype=torch.int64)
        )
    forward = most
    loss.backward()
    # At least what the forward pass left (weights were counted there too), at most half as much again for one block.
    counted = cost(config, 5).memory["activations"]
    weights = sum(p.numel() * 4 for p in network.parameters())
    assert forward - weights < counted < 1.5 * forward


def test_the_command() -> None:
    shown = CliRunner().invoke(app, ["cost", "toy_streets"])
    assert shown.exit_code == 0 and "pseudo-labels" in shown.output and "TFLOPs" in shown.output
    plain = CliRunner().invoke(app, ["cost", "table8_base", "--json", "network.backbone=resnet18"])
    found = json.loads(plain.output)
    assert "attention" in found["flops"] and found["flops"]["attention"] == 0
    assert found["flops_total"] == sum(found["flops"].values()) and found["paper_gflops_total"] == PAPER_TOTAL
    assert CliRunner().invoke(app, ["cost", "folder"]).exit_code == 2  # how many classes? no data.root
    assert CliRunner().invoke(app, ["cost", "folder", "--classes", "4"]).exit_code == 0


def test_a_supervised_stage_is_counted_beside_the_step() -> None:
    words = ["cost", "folder", "--classes", "3", "network.backbone=resnet18", "training.iterations=200"]
    plain, staged, alone = (
        json.loads(CliRunner().invoke(app, [*words, "--json", *more]).output)
        for more in ([], ["method.stages=0.4"], ["method.name=supervised", "method.stages=0.4"])
    )
    assert (plain["first_stage_steps"], plain["first_stage_step_flops"]) == (0, 0)
    assert (staged["first_stage_steps"], staged["first_stage_step_flops"]) == (80, alone["step_flops"])
    assert alone["first_stage_steps"] == 0 and staged["step_flops"] == plain["step_flops"]
    shown = CliRunner().invoke(app, [*words, "method.stages=0.4"]).output
    assert "the first 80 of 200 steps (method.stages) see labelled crops alone" in shown


@pytest.mark.parametrize(
    ("name", "parts"),
    [("adversarial", {"critic"}), ("s4gan", {"critic", "image classifier"}),
     ("semantic_shift", {"critic", "semantic critic"})],
)  # fmt: skip
def test_critics_are_counted_as_a_real_step_passes_them(name: str, parts: set[str]) -> None:
    words = ["network.backbone=small", "network.pretrained=none", "network.output_stride=16", "data.crop=64",
             f"method.name={name}", "method.s4gan.multi_label.enabled=true", "training.batch_size=1"]  # fmt: skip
    config = Config.parse({}, words)
    method = method_class(name)(config, build_network_of(config, 3), labelled=1).train()
    g = torch.Generator().manual_seed(0)
    images, labels = torch.rand(2, 3, 64, 64, generator=g), torch.randint(0, 3, (2, 64, 64), generator=g)
    target = torch.tensor([True])  # so that features of both domains are asked for
    inside = torch.ones(1, 64, 64, dtype=torch.bool)
    now = Step(Batch(images[:1], labels[:1], target), Batch(images[1:], labels[1:], inside=inside), 3, g)
    counted = cost(config, 3).flops
    assert counted.keys() == {"labelled", "unlabelled"} | parts
    assert count_flops(lambda: method.losses(now)) == pytest.approx(sum(counted.values()), rel=0.02)
