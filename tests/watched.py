"""What went through the networks of a method in a step, so that a test can compute its losses by hand."""

from typing import Any

from torch import Tensor

from semiseg.methods import Method, Step
from semiseg.networks import upsample


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
