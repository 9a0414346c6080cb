"""Optimisers by name, and states of earlier versions in the groups of today."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny
from torch import nn

from semiseg.errors import SemisegError
from semiseg.methods import Method, method_class
from semiseg.methods.base import ParameterGroup
from semiseg.networks import SegmentationNetwork
from semiseg.networks.build import build_network_of
from semiseg.training.optimisers import Optimisers


def build(**changes: object) -> Method:
    torch.manual_seed(0)
    config = tiny(Path("."), Path("."), method__name="supervised", **changes)
    method: Method = method_class("supervised")(config, build_network_of(config, 3), labelled=4).train()
    return method


def earlier_state(groups: list[list[nn.Parameter]], marks: dict[int, float]) -> dict[str, Any]:
    """A state of SGD over these groups; the momentum of each parameter is filled with its mark."""
    optimiser = torch.optim.SGD([{"params": group, "base": 0.1 * k} for k, group in enumerate(groups)], 0.1, 0.9)
    for group in groups:
        for p in group:
            if p.requires_grad:
                optimiser.state[p]["momentum_buffer"] = torch.full_like(p, marks[id(p)])
    return optimiser.state_dict()


def momenta_are_marks(optimisers: Optimisers, marks: dict[int, float]) -> bool:
    optimiser = optimisers.by_name["main"]
    return all(
        bool((optimiser.state[p]["momentum_buffer"] == marks[id(p)]).all())
        for group in optimiser.param_groups
        for p in group["params"]
    )


def parts(method: Method) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter], dict[int, float]]:
    network: SegmentationNetwork = method.student
    marks = {id(p): float(k) for k, p in enumerate(network.parameters())}
    return network.stem_parameters(), network.backbone_parameters(), network.classifier_parameters(), marks


@pytest.mark.parametrize("policy", ["train", "frozen_affine"])
def test_a_state_whose_stem_held_frozen_parameters_goes_on(policy: str) -> None:
    method = build(network__batch_norm=policy)
    stem, backbone, classifier, marks = parts(method)
    known = {id(p) for p in stem}
    old = earlier_state([stem, [p for p in backbone if id(p) not in known], classifier], marks)
    optimisers = Optimisers(method)
    optimisers.load_state_dict(old)
    assert momenta_are_marks(optimisers, marks)


@pytest.mark.parametrize("policy", ["train", "frozen_affine"])
def test_a_state_without_a_stem_goes_on_at_the_rates_it_had(policy: str) -> None:
    method = build(network__batch_norm=policy)
    _, backbone, classifier, marks = parts(method)
    optimisers = Optimisers(method)
    optimisers.load_state_dict(earlier_state([backbone, classifier], marks))
    assert momenta_are_marks(optimisers, marks)
    stem, rest, _ = optimisers.by_name["main"].param_groups
    assert stem["base"] == rest["base"] == 0.0


def test_a_state_whose_heads_held_the_attention_goes_on() -> None:
    config = tiny(Path("."), Path("."), training__lr_multipliers__attention=0.5)
    method = method_class("memory_bank")(config, build_network_of(config, 3), labelled=4).train()
    groups = {group.name: group.parameters for group in method.groups()}
    marks = {id(p): float(k) for k, p in enumerate(method.parameters())}
    old = [groups["stem"], groups["backbone"], groups["classifier"], groups["heads"] + groups["attention"]]
    optimisers = Optimisers(method)
    optimisers.load_state_dict(earlier_state(old, marks))
    assert momenta_are_marks(optimisers, marks)
    assert [len(group["params"]) for group in optimisers.by_name["main"].param_groups] == [*map(len, groups.values())]


def test_a_state_of_another_network_is_one_line() -> None:
    method = build()
    with pytest.raises(SemisegError, match="another network or method") as caught:
        Optimisers(method).load_state_dict(earlier_state([method.student.backbone_parameters()], {
            id(p): 0.0 for p in method.student.parameters()
        }))  # fmt: skip
    assert "\n" not in str(caught.value)


def test_no_frozen_parameter_is_stepped() -> None:
    method = build(network__batch_norm="frozen_affine")
    assert all(p.requires_grad for p in Optimisers(method).parameters())


def test_an_optimiser_whose_parameters_rest_is_left_alone_in_half_precision() -> None:
    method = build()
    critic = nn.Parameter(torch.ones(2))
    method.critic = critic
    groups, main = method.groups(), method.optimisers()["main"]
    method.groups = lambda: [*groups, ParameterGroup("critic", [critic], optimiser="critic")]  # type: ignore[method-assign]
    method.optimisers = lambda: {"main": main, "critic": main}  # type: ignore[method-assign]
    optimisers, scaler = Optimisers(method), torch.amp.GradScaler("cpu")
    weight = method.student.classifier_parameters()[0]
    before = weight.detach().clone()
    scaler.scale(weight.square().sum()).backward()
    optimisers.step(scaler, clip=1.0)
    assert torch.equal(critic, torch.ones(2)) and not torch.equal(weight, before) and weight.grad is None
