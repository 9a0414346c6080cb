"""What several processes hold in common."""

from pathlib import Path

import torch
from conftest import tiny
from torch import nn

from semiseg.methods import Method, method_class
from semiseg.networks.build import build_network_of
from semiseg.networks.heads import MaskedBatchNorm
from semiseg.runtime import distributed
from semiseg.training.parallel import average_statistics, sync_batch_norm


def build(**changes: object) -> Method:
    config = tiny(Path("."), Path("."), **changes)
    method: Method = method_class("memory_bank")(config, build_network_of(config, 3), labelled=4)
    return method


def test_batch_norm_of_student_teacher_and_critic_becomes_joint_and_that_of_the_heads_stays() -> None:
    method = build()
    method.critic = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    names = [n for n, m in method.named_modules() if isinstance(m, nn.BatchNorm2d)]
    masked = [n for n, m in method.named_modules() if isinstance(m, MaskedBatchNorm)]
    state = {name: value.clone() for name, value in method.state_dict().items()}
    sync_batch_norm(method)
    assert {n.split(".")[0] for n in names} == {"student", "teacher", "critic"} and masked
    modules = dict(method.named_modules())
    assert all(isinstance(modules[n], nn.SyncBatchNorm) for n in names)
    assert all(type(modules[n]) is MaskedBatchNorm for n in masked)
    assert method.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in method.state_dict().items())


def test_statistics_of_every_network_in_training_are_averaged(monkeypatch) -> None:
    method = build(method__teacher__batch_statistics=True).train()
    method.critic = nn.BatchNorm1d(4)
    monkeypatch.setattr(distributed, "world", lambda: 2)
    monkeypatch.setattr(distributed, "mean", lambda values: values + 1)
    layers = {n: m for n, m in method.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}
    before = {n: m.running_mean.clone() for n, m in layers.items()}
    average_statistics(method)
    moved = {n for n, m in layers.items() if not torch.equal(m.running_mean, before[n])}
    assert {n.split(".")[0] for n in moved} == {"student", "teacher", "critic"}
    method.eval()
    before = {n: m.running_mean.clone() for n, m in layers.items()}
    average_statistics(method)
    assert all(torch.equal(m.running_mean, before[n]) for n, m in layers.items())
