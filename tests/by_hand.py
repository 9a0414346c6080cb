"""A method whose losses a test computes by hand: built small, given crops, and watched."""

from pathlib import Path
from typing import Any

import torch
from conftest import tiny
from torch import Tensor

from semiseg.methods import Batch, Method, Step, method_class
from semiseg.methods.base.views import NOTHING
from semiseg.networks import upsample
from semiseg.networks.build import build_network_of


def made(name: str, classes: int, surer: float = 1.0, **changes: object) -> Method:
    """A method in training whose pictures nothing augments; ``surer`` spreads the confidences of all networks."""
    torch.manual_seed(0)
    usual: dict[str, object] = {"method__name": name, "method__augment__weak": "none"}
    config = tiny(Path("."), Path("."), **usual | changes)
    network = build_network_of(config, classes)
    with torch.no_grad():
        network.classifier.get_parameter("weight").mul_(surer)
    method: Method = method_class(name)(config, network, 4).train()
    method.views.strong_set = NOTHING
    return method


def noise(classes: int, height: int, width: int, inside: Tensor | None = None, crops: int = 3, seed: int = 4) -> Step:
    """A step of two labelled crops and some unlabelled ones, of noise throughout."""
    g = torch.Generator().manual_seed(0)
    images = torch.rand(2 + crops, 3, height, width, generator=g)
    labels = torch.randint(0, classes, (2 + crops, height, width), generator=g)
    unlabelled = Batch(images[2:], torch.full_like(labels[2:], 255), inside=inside)
    return Step(Batch(images[:2], labels[:2]), unlabelled, 3, torch.Generator().manual_seed(seed))


def student_and_teacher(method: Method, now: Step) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]:
    """The terms of a step, and images and full-size logits of student ("s") and teacher ("t") in their last passes."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def keep(name: str) -> Any:
        def hook(module: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
            seen[name] = inputs[0].detach(), upsample(output.logits, now.labelled.labels.shape[-2:]).detach()

        return hook

    hooks = [m.register_forward_hook(keep(n)) for n, m in (("s", method.student), ("t", method.teacher))]  # type: ignore[union-attr]
    terms = method.losses(now)
    for hook in hooks:
        hook.remove()
    return terms, seen


def student_alone(method: Method, now: Step) -> tuple[dict[str, Tensor], list[Tensor], list[Tensor]]:
    """The terms of a step, and all images that its backbone saw and full-size logits that it gave, pass by pass."""
    images: list[Tensor] = []
    logits: list[Tensor] = []

    def before(module: Any, inputs: tuple[Tensor, ...]) -> None:
        images.append((inputs[0] * method.student.std + method.student.mean).detach())

    def behind(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        logits.append(upsample(output, now.labelled.labels.shape[-2:]).detach())

    hooks = [
        method.student.backbone.register_forward_pre_hook(before),
        method.student.classifier.register_forward_hook(behind),
    ]
    terms = method.losses(now)
    for hook in hooks:
        hook.remove()
    return terms, images, logits
