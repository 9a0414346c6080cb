"""The optimisers of a run, as the method names them, each with its schedule; stepped, saved and loaded together."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from semiseg.config.optimiser import OptimiserConfig
from semiseg.errors import SemisegError
from semiseg.methods.base import Method, ParameterGroup, Round


def learning_rate_factor(iteration: int, total: int, power: float, warmup: float = 0.0) -> float:
    """Poly schedule (1 - i/N)^power (section 4.2), after an optional linear rise over ``warmup``·N steps."""
    rise = warmup * total
    return min(1.0, (iteration + 1) / rise if rise else 1.0) * (1 - iteration / total) ** power


def make_optimiser(config: OptimiserConfig, groups: list[ParameterGroup]) -> torch.optim.Optimizer:
    """SGD (section 4.2), Adam or AdamW over parameter groups, each with its own ``base`` rate."""
    rates = [config.learning_rate * group.multiplier for group in groups]
    parameters = [
        {"params": group.parameters, "lr": rate, "base": rate} for group, rate in zip(groups, rates, strict=True)
    ]
    # One kernel for all parameters where the device has it.
    fused = all(p.device.type in ("cpu", "cuda") for group in groups for p in group.parameters)
    lr, decay = config.learning_rate, config.weight_decay
    if config.kind == "sgd":
        return torch.optim.SGD(parameters, lr=lr, momentum=config.momentum, weight_decay=decay, fused=fused)
    kind = torch.optim.AdamW if config.kind == "adamw" else torch.optim.Adam
    return kind(parameters, lr=lr, betas=(config.momentum, config.beta2), weight_decay=decay, fused=fused)


def check_groups(method: Method) -> None:
    """Whether a method's groups and optimisers train all that should learn.

    Raises:
        ValueError: they do not: a mistake of the method.
    """
    groups = method.groups()
    unknown = {group.optimiser for group in groups} - method.optimisers().keys()
    if unknown:
        raise ValueError(f"groups() names the optimisers {sorted(unknown)}, which optimisers() does not give")
    grouped = {id(p) for group in groups for p in group.parameters}
    left = [name for name, p in method.named_parameters() if p.requires_grad and id(p) not in grouped]
    if left:
        raise ValueError(
            f"no group of groups() holds {', '.join(left[:3])}{', …' if len(left) > 3 else ''}: add what should learn, "
            "and call requires_grad_(False) on what should not"
        )


class Optimisers:
    """All optimisers of a method.

    Args:
        method: on its device; asked for ``optimisers`` and ``groups``.

    Raises:
        ValueError: groups that leave something out, see :func:`check_groups`.
    """

    def __init__(self, method: Method) -> None:
        self.configs = method.optimisers()
        check_groups(method)
        self.groups = [group for group in method.groups() if group.parameters]
        self._earlier = _earlier_orders(method)
        self.restart()

    def restart(self) -> None:
        """Forget all momenta: the optimisers as at the start of a round."""
        self.by_name = {
            name: make_optimiser(config, [group for group in self.groups if group.optimiser == name])
            for name, config in self.configs.items()
        }

    @property
    def learning_rate(self) -> float:
        """That of the main optimiser's first group, for the log."""
        rate: float = self.by_name["main"].param_groups[0]["lr"]
        return rate

    def parameters(self, name: str | None = None) -> list[nn.Parameter]:
        """What one optimiser steps, or all of them."""
        chosen = self.by_name.values() if name is None else [self.by_name[name]]
        return [p for optimiser in chosen for group in optimiser.param_groups for p in group["params"]]

    def set_rates(self, iteration: int, now: Round) -> None:
        """Learning rates of a step of the run, by each optimiser's schedule over the round ``now``."""
        for name, optimiser in self.by_name.items():
            config = self.configs[name]
            factor = learning_rate_factor(
                iteration - now.start, now.stop - now.start, config.poly_power, config.lr_warmup
            )
            for group in optimiser.param_groups:
                group["lr"] = group["base"] * factor

    def step(self, scaler: torch.amp.GradScaler, clip: float | None) -> None:
        """Step all that have gradients, and clear these; ``clip`` bounds the norm of each optimiser's gradients."""
        for name, optimiser in self.by_name.items():
            if all(p.grad is None for p in self.parameters(name)):
                continue  # it rests, which the scaler would take for a mistake
            if clip is not None:
                scaler.unscale_(optimiser)
                nn.utils.clip_grad_norm_(self.parameters(name), clip)
            scaler.step(optimiser)
        scaler.update()
        for optimiser in self.by_name.values():
            optimiser.zero_grad(set_to_none=True)

    def are_finite(self) -> bool:
        """Whether every parameter is a number."""
        return bool(torch.stack([p.detach().isfinite().all() for p in self.parameters()]).all())

    def state_dict(self) -> dict[str, Any]:
        return {name: optimiser.state_dict() for name, optimiser in self.by_name.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """What :meth:`state_dict` gave, or the one optimiser of a run of an earlier version."""
        if "param_groups" in state:
            state = {"main": state}
        for name, optimiser in self.by_name.items():
            optimiser.load_state_dict(self._regrouped(state[name], optimiser) if name == "main" else state[name])

    def _regrouped(self, state: dict[str, Any], optimiser: torch.optim.Optimizer) -> dict[str, Any]:
        """A state of an earlier version, whose groups held other parameters, in the groups of today."""
        saved = state["param_groups"]
        if [len(g["params"]) for g in saved] == [len(g["params"]) for g in optimiser.param_groups]:
            return state
        group_of = {number: group for group in saved for number in group["params"]}
        order = next((order for order in self._earlier if len(order) == len(group_of)), None)
        if order is None:
            raise SemisegError("the checkpoint's optimiser belongs to another network or method; start anew")
        number_of = dict(zip(order, group_of, strict=True))
        groups = []
        for group in optimiser.param_groups:
            numbers = [number_of[id(p)] for p in group["params"]]
            groups.append(group_of[numbers[0]] | {"params": numbers})
        return state | {"param_groups": groups}


def _earlier_orders(method: Method) -> list[list[int]]:
    """Identities of the parameters in the order of earlier versions, whose checkpoints number them.

    The stem of ResNet and EfficientNet-Lite was a group that held frozen parameters too; other backbones had no stem,
    and theirs are in the order of their modules.
    """
    others = [
        id(p)
        for group in method.groups()
        if group.optimiser == "main" and not group.name.endswith(("stem", "backbone"))
        for p in group.parameters
    ]
    stem = [id(p) for network in method.learners().values() for p in network.stem_parameters()]
    backbone = [id(p) for network in method.learners().values() for p in network.backbone_parameters()]
    return [[*stem, *(p for p in backbone if p not in set(stem)), *others], [*backbone, *others]]
