"""A network is its encoder and its decoder, and says which parameters are whose."""

import pytest
import torch

from semiseg.networks import build_network
from semiseg.networks.build import ARCHITECTURES


def build(architecture="deeplabv3plus", backbone="resnet18"):
    return build_network(architecture, backbone, 5, 16, "none", decoder_channels=8)


def images():
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_forward_is_encode_and_decode(architecture):
    network = build(architecture).eval()
    maps = network.encode(images())
    assert [tuple(found.shape) for found in maps] == {
        "deeplabv2": [(2, 512, 4, 6)],
        "deeplabv3plus": [(2, 64, 16, 24), (2, 512, 4, 6)],
        "dpt": [(2, 64, 16, 24), (2, 128, 8, 12), (2, 256, 4, 6), (2, 512, 4, 6)],
    }[architecture]
    for ours, theirs in zip(network.decode(maps), network(images()), strict=True):
        assert torch.equal(ours, theirs)


def test_a_method_may_perturb_the_maps_in_between():
    network = build().train()
    clean = network.encode(images())
    both = [torch.cat([found, torch.nn.functional.dropout2d(found)]) for found in clean]
    logits = network.decode(both).logits
    assert logits.shape == (4, 5, 16, 24) and not torch.equal(logits[:2], logits[2:])
    logits.square().mean().backward()
    assert network.backbone.conv1.weight.grad.any()


@pytest.mark.parametrize("training", [True, False])
def test_recomputation_is_for_training_alone(training, monkeypatch):
    network = build().train(training)
    network.recompute, asked, maps = True, [], network.backbone.maps
    monkeypatch.setattr(network.backbone, "maps", lambda x, recompute: asked.append(recompute) or maps(x, recompute))
    network(images())
    assert asked == [training]


def test_the_stem_is_part_of_the_backbone():
    network = build(backbone="efficientnet_lite0")
    stem = {id(p) for p in network.stem_parameters()}
    assert len(stem) == 3 and stem < {id(p) for p in network.backbone_parameters()}
    assert not stem & {id(p) for p in network.classifier_parameters()}
