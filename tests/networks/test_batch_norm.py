"""BatchNorm policies: what a training step may change."""

import copy

import pytest
import torch

from semiseg.networks import build_network
from semiseg.networks.batch_norm import apply_batch_norm_policy

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-2)


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1)


def after_one_step(network, optimiser_of=sgd):
    """Names of the backbone's BatchNorm tensors, and those of them that one step changed."""
    norms = {name for name, m in network.backbone.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    before = copy.deepcopy(network.backbone.state_dict())
    optimiser = optimiser_of(network.parameters())
    network.eval()
    network.train()  # a validation in between must not thaw anything
    network(torch.rand(1, 3, 64, 64)).logits.square().mean().backward()
    optimiser.step()
    after = network.backbone.state_dict()
    assert not torch.equal(after["blocks.3.0.conv_dw.weight"], before["blocks.3.0.conv_dw.weight"])
    names = {name for name in before if name.rpartition(".")[0] in norms}
    return names, {name for name in names if not torch.equal(before[name], after[name])}


def build(policy):
    return build_network("deeplabv3plus", "efficientnet_lite0", 4, 16, "none", batch_norm=policy, decoder_channels=16)


@pytest.mark.parametrize(
    ("policy", "kinds"),
    [("train", ("weight", "bias", *STATISTICS)), ("frozen", ()), ("frozen_affine", STATISTICS)],
)
@pytest.mark.parametrize("optimiser_of", [sgd, adamw])
def test_what_a_step_changes(policy, kinds, optimiser_of):
    names, changed = after_one_step(build(policy), optimiser_of)
    assert len(names) == 48 * 5  # the stem's, two of the first block, three of fifteen others
    wanted = {name for name in names if name.rpartition(".")[2] in kinds}
    assert changed == wanted


@pytest.mark.parametrize("policy", ["frozen", "frozen_affine"])
def test_decoder_keeps_learning_and_frozen_parameters_are_in_no_group(policy):
    network = build(policy).train()
    assert all(p.requires_grad for p in network.decoder.parameters())
    assert all(m.training for m in network.decoder.modules())
    groups = network.backbone_parameters() + network.classifier_parameters()
    assert len(list(network.parameters())) - len(groups) == 48 * 2


def test_the_policy_can_be_set_later_and_survives_a_copy():
    network = build("train")
    apply_batch_norm_policy(network, "frozen")
    names, changed = after_one_step(copy.deepcopy(network))
    assert names and not changed


def test_frozen_backbone_computes_the_same_in_training_and_evaluation():
    network = build("frozen")
    x = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(network.train().backbone(x)[-1], network.eval().backbone(x)[-1])


def test_evaluation_is_evaluation_under_every_policy():
    for policy in ("train", "frozen", "frozen_affine"):
        assert not any(m.training for m in build(policy).eval().modules())
