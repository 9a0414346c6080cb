"""The supervised stage that ``method.stages`` puts before a method's own training, and how one follows the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from semiseg.config.read import Config
from semiseg.methods.base.step import Step
from semiseg.teacher import update

if TYPE_CHECKING:
    from semiseg.methods.base.method import Method


def first_stage(config: Config) -> int:
    """Steps of the supervised stage: the share ``method.stages`` of the iterations, less than all of them."""
    iterations = config.training.iterations
    return min(round(config.method.stages * iterations), iterations - 1)


def warmup_steps(method: Method, iterations: int) -> int:
    """Steps of the warm-up of a stage of so many steps."""
    return round(method.config.warmup * iterations)


def count_over(method: Method, iterations: int) -> None:
    """Let a method's schedules count over so many steps: those of the stage under way."""
    method.iterations = iterations
    method.warmup = method.views.warmup = warmup_steps(method, iterations)


def supervised_losses(method: Method, step: Step) -> dict[str, Tensor]:
    """Eq. 4 on the labelled crops, for every learner: a step of the method ``supervised`` where there is one.

    Returns:
        What :meth:`Method.losses` gives, under the same names: ``loss`` and ``supervised`` are the sum over the
        learners, all else rests at 0.
    """
    x_l, y_l, _ = method.labelled_view(step)
    passes = [network(x_l).logits for network in method.learners().values()]
    loss = torch.stack([method.supervised(logits, y_l, step.iteration) for logits in passes]).sum()
    rest = dict.fromkeys((*method.terms, *method.watched), loss.new_zeros(()))
    return rest | {name: loss for name in ("loss", "supervised") if name == "loss" or name in rest}


@torch.no_grad()
def start_teachers(method: Method) -> None:
    """Give every teacher the weights and statistics of its student, as when training begins."""
    for teacher, student in method.averages():
        update(teacher, student, tau=0.0)
