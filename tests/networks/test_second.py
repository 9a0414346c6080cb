"""A second network: the same backbone, another beginning of the rest."""

from pathlib import Path

import torch
from conftest import tiny

from semiseg.networks.build import build_network_of
from semiseg.networks.second import begun_anew


def test_the_backbone_is_copied_and_the_rest_drawn_anew() -> None:
    torch.manual_seed(0)
    network = build_network_of(tiny(Path("."), Path(".")), 5)
    with torch.no_grad():
        next(iter(network.backbone.parameters())).fill_(0.5)
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    second = begun_anew(network)
    assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())
    other = second.state_dict()
    assert other.keys() == kept.keys()
    same = [name for name in kept if name.startswith("backbone")]
    assert all(torch.equal(other[name], kept[name]) for name in same)
    drawn = [name for name in kept if name.startswith(("decoder", "classifier")) and kept[name].ndim == 4]
    assert drawn and not any(torch.equal(other[name], kept[name]) for name in drawn)
    shared = {id(p) for p in network.parameters()} & {id(p) for p in second.parameters()}
    assert not shared


def test_the_global_generator_draws_it() -> None:
    network = build_network_of(tiny(Path("."), Path(".")), 5)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(begun_anew(network).classifier.weight)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
