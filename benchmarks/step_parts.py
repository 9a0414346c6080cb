"""A training step on fixed crops, the bare passes beside it, and the time of its parts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from semiseg import Config
from semiseg.contrastive import ContrastiveModule
from semiseg.contrastive import module as contrastive_module
from semiseg.methods import Batch, Method
from semiseg.methods.base import Round
from semiseg.methods.base import method as base
from semiseg.methods.base.bank import method_of
from semiseg.networks.build import build_network_of
from semiseg.training.optimisers import Optimisers
from semiseg.training.step import Stepper

LABELLED = 99  # images; ψ/|X_l| is 2 then
# What a method's file and the base of all methods call by name, and the part that its time belongs to.
FUNCTIONS = {
    "augment": "augmentation", "classmix_masks": "mixing", "cutmix_masks": "mixing", "paste": "mixing",
    "pseudo_labels": "pseudo-labels", "probabilities": "losses", "consistency": "losses", "entropy": "losses",
    "valid_mean": "losses", "weighted_cross_entropy": "losses", "upsample": "upsampling",
}  # fmt: skip


class Clock:
    """Seconds by name, of a part without the parts inside it; waits for the device where there is one."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self.inner = [0.0]  # of each open part, and below them of all: seconds spent in parts inside it

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        began = self.now()
        self.inner.append(0.0)
        try:
            yield
        finally:
            whole = self.now() - began
            self.seconds[name] = self.seconds.get(name, 0.0) + whole - self.inner.pop()
            self.inner[-1] += whole

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time counted under ``name``."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.of(name):
                return function(*args, **kwargs)

        return timed


class Measured:
    """A method on fixed crops of noise, as far trained as its bank is full.

    Args:
        config: method, network, crop and batch are read.
        classes: C.
        device: of all tensors.
    """

    def __init__(self, config: Config, classes: int, device: torch.device) -> None:
        torch.manual_seed(0)
        t, network = config.training, build_network_of(config, classes)
        self.method: Method = method_of(config)(config, network, LABELLED).to(device).train()
        layout = torch.channels_last if t.channels_last else torch.contiguous_format
        for part in (self.method.student, self.method.teacher):
            if part is not None:
                part.to(memory_format=layout)  # type: ignore[call-overload]
        if isinstance(contrast := getattr(self.method, "contrast", None), ContrastiveModule):
            contrast.bank.slots.normal_()
            contrast.bank.counts.fill_(contrast.bank.size)
        self.stepper = Stepper(self.method, Optimisers(self.method), t, device)
        self.batches = self._crops(t.batch_size, config.data.crop_size, classes, device, layout)
        count = self.method.cost(t.batch_size, t.batch_size)
        self.students, self.teachers = sum(count.student), count.teacher
        self.images = torch.cat(
            [self.batches[0].images] * max(1, -(-max(self.students, self.teachers) // t.batch_size))
        )

    def _crops(
        self, b: int, size: tuple[int, int], classes: int, device: torch.device, layout: torch.memory_format
    ) -> tuple[Batch, Batch]:
        """Noise, with labels in squares of 32 pixels."""
        g = torch.Generator().manual_seed(0)
        images = torch.rand(2 * b, 3, *size, generator=g).to(device).contiguous(memory_format=layout)
        coarse = torch.randint(0, classes, (b, -(-size[0] // 32), -(-size[1] // 32)), generator=g)
        labels = coarse.repeat_interleave(32, 1).repeat_interleave(32, 2)[:, : size[0], : size[1]].to(device)
        inside = torch.ones_like(labels, dtype=torch.bool)
        return Batch(images[:b], labels), Batch(images[b:], torch.full_like(labels, 255), inside=inside)

    def bare(self) -> None:
        """Student forward and backward, teacher forward, on as many crops as the step takes."""
        if self.teachers:
            assert self.method.teacher is not None
            with torch.no_grad():
                self.method.teacher(self.images[: self.teachers])
        output = self.method.student(self.images[: self.students])
        loss: Tensor = output.logits.float().mean() + output.features.float().mean()
        loss.backward()
        self.method.zero_grad(set_to_none=True)

    def step(self, i: int) -> None:
        """Step ``i`` of the loop, everything but loading."""
        self.stepper(lambda: self.batches, i, Round(0, i + 1000))


def breakdown(measured: Measured, clock: Clock, first: int, rounds: int) -> dict[str, float]:
    """Mean milliseconds of a step in each part, forward only; clocks are put around the parts for these rounds."""
    method, optimisers = measured.method, measured.stepper.optimisers
    clocked: list[tuple[Any, str, str]] = [
        (method.student, "forward", "student forward"), (method.counts, "update", "class counts"),
        (method.counts, "weights", "class counts"), (method.views, "weak", "augmentation"),
        (method.views, "strong", "augmentation"), (method.views, "geometry", "augmentation"),
        (method.views, "colour", "augmentation"), (method.views, "mix", "mixing"),
        (optimisers, "step", "optimiser"), (method, "after_step", "teacher update"), (Tensor, "backward", "backward"),
    ]  # fmt: skip
    if method.teacher is not None:
        clocked.append((method.teacher, "forward", "teacher"))
    for module in (sys.modules[type(method).__module__], base):
        clocked += [(module, name, part) for name, part in FUNCTIONS.items() if hasattr(module, name)]
    if isinstance(contrast := getattr(method, "contrast", None), ContrastiveModule):
        clocked += [
            (contrast, "fill_bank", "bank"), (contrast, "loss", "choosing rows"),
            (contrast.projection, "forward", "heads"),
            (contrast.prediction, "forward", "heads"), (contrast.attention_p, "forward", "attention of pixels"),
            (contrast.attention_z, "forward", "attention of the bank"),
            (contrastive_module, "contrastive_loss", "distances"),
        ]  # fmt: skip
    before = [(part, name, getattr(part, name), name in vars(part)) for part, name, _ in clocked]
    for (part, name, title), (_, _, function, _) in zip(clocked, before, strict=True):
        setattr(part, name, clock.around(title, function))
    try:
        for i in range(first, first + rounds):
            with clock.of("rest"):
                measured.step(i)
    finally:
        for part, name, function, own in before:
            setattr(part, name, function) if own else delattr(part, name)
    return {name: round(1000 * seconds / rounds, 2) for name, seconds in clock.seconds.items()}
