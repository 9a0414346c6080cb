"""Gradients that reach what goes into a module and not the module."""

import torch
from torch import nn

from semiseg.networks.still import standing_still


def test_the_value_is_the_modules_and_the_gradient_stops_at_its_parameters() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    x = torch.randn(5, 3, requires_grad=True)
    found, expected = standing_still(module, x), module(x)
    assert torch.equal(found, expected)
    (gradient,) = torch.autograd.grad(expected.square().sum(), x)
    found.square().sum().backward()
    assert torch.equal(x.grad, gradient) and x.grad.abs().sum() > 0
    assert all(p.grad is None for p in module.parameters())
    assert all(p.requires_grad for p in module.parameters()), "it learns as before elsewhere"
