"""What a training step costs beside the bare passes of the same networks on the same tensors.

    python benchmarks/step.py                       # Lite0, 192², batch 4, all pixels and at most 256 of a class in the
                                                    # heads; on CUDA also ResNet-101, 512², batch 5
    python benchmarks/step.py toy_streets data.crop=64
    python benchmarks/step.py --quick               # two rounds, to see that it runs

Both run in turn in one process, so that a noisy machine disturbs both. Bare: student forward and backward on the
labelled and all unlabelled views, teacher forward on both. The step is the loop's own: everything but loading. A table,
the goal and ``results/step_DEVICE.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from semiseg import Config
from semiseg.contrastive import module as contrastive_module
from semiseg.methods import Batch, Step, memory_bank, method_class
from semiseg.networks.build import build_network_of
from semiseg.runtime.version import machine, versions
from semiseg.training.optimisers import Optimisers
from semiseg.training.step import iteration_generator

RESULTS = Path(__file__).parent / "results"
GOAL = 1.10
LITE0 = [
    "network.architecture=deeplabv3plus", "network.backbone=efficientnet_lite0", "network.output_stride=16",
    "network.decoder_channels=64", "network.pretrained=none", "data.crop=192", "training.batch_size=4",
]  # fmt: skip
RESNET101 = ["network.pretrained=none", "data.crop=512", "training.batch_size=5"]  # the rest is the paper's default
CLASSES, LABELLED = 19, 99


class Clock:
    """Seconds by name; waits for the device where there is one."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, {}

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        began = self.now()
        yield
        self.seconds.setdefault(name, []).append(self.now() - began)

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time counted under ``name``."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.of(name):
                return function(*args, **kwargs)

        return timed


def measure(words: list[str], rounds: int, device: torch.device) -> dict[str, Any]:
    """Median milliseconds of the step, of the bare passes, and of the step's parts."""
    config = Config.parse({}, ["method.warmup=0", *words])
    torch.manual_seed(0)
    method = method_class("memory_bank")(config, build_network_of(config, CLASSES), LABELLED).to(device).train()
    layout = torch.channels_last if config.training.channels_last else torch.contiguous_format
    for network in (method.student, method.teacher):
        network.to(memory_format=layout)
    optimiser = Optimisers(method).by_name["main"]
    b, crop, views = config.training.batch_size, int(config.data.crop), config.method.settings.pseudo.views
    g = torch.Generator().manual_seed(0)
    images = torch.rand(b * (2 + views), 3, crop, crop, generator=g).to(device).contiguous(memory_format=layout)
    coarse = torch.randint(0, CLASSES, (b, crop // 32, crop // 32), generator=g)
    labels = coarse.repeat_interleave(32, 1).repeat_interleave(32, 2)[:, :crop, :crop].to(device)
    labelled, unlabelled = Batch(images[:b], labels), Batch(images[b : 2 * b], torch.full_like(labels, 255))
    clock = Clock(device)

    def bare() -> None:
        with torch.no_grad():
            method.teacher(images[: 2 * b])
        output = method.student(images[b:])
        (output.logits.float().mean() + output.features.float().mean()).backward()
        optimiser.zero_grad(set_to_none=True)

    def step(i: int) -> None:
        now = Step(labelled, unlabelled, i, iteration_generator(0, i))
        method.losses(now)["loss"].backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        method.after_step(now)

    times: dict[str, list[float]] = {"bare": [], "step": []}
    for i in range(rounds + 2):
        for name, run in (("bare", bare), ("step", lambda i=i: step(i))):
            began = clock.now()
            run()
            times[name].append(clock.now() - began)
    kept = {name: [1000 * t for t in values[2:]] for name, values in times.items()}
    ratios = [s / p for s, p in zip(kept["step"], kept["bare"], strict=True)]
    parts = breakdown(method, optimiser, step, clock, max(2, rounds // 2))
    return {
        "settings": words, "device": device.type, "rounds": rounds,
        "bare_ms": round(statistics.median(kept["bare"]), 1), "step_ms": round(statistics.median(kept["step"]), 1),
        "ratio": round(statistics.median(ratios), 3), "parts_ms": parts,
    }  # fmt: skip


def breakdown(
    method: Any, optimiser: torch.optim.Optimizer, step: Callable[[int], None], clock: Clock, rounds: int
) -> dict[str, float]:
    """Mean milliseconds of a step in each part, forward only; clocks are put around the parts for these rounds."""
    contrast = method.contrast
    clocked: list[tuple[Any, str, str]] = [
        (method.views, "weak", "augmentation"), (method.views, "strong", "augmentation"),
        (method.teacher, "forward", "teacher"), (method.student, "forward", "student forward"),
        (method, "supervised", "losses"), (memory_bank, "weighted_cross_entropy", "losses"),
        (memory_bank, "entropy", "losses"), (memory_bank, "pseudo_labels", "pseudo-labels"),
        (contrast, "fill_bank", "bank"), (contrast.projection, "forward", "heads"),
        (contrast.prediction, "forward", "heads"), (contrast.attention_p, "forward", "attention"),
        (contrast.attention_z, "forward", "attention"), (contrastive_module, "contrastive_loss", "distances"),
        (optimiser, "step", "optimiser"), (method, "after_step", "teacher update"),
        (method.counts, "update", "class counts"),
    ]  # fmt: skip
    before = [getattr(part, name) for part, name, _ in clocked]
    clock.seconds.clear()
    for (part, name, title), function in zip(clocked, before, strict=True):
        setattr(part, name, clock.around(title, function))
    try:
        for i in range(rounds):
            with clock.of("whole step"):
                step(1000 + i)
    finally:
        for (part, name, _), function in zip(clocked, before, strict=True):
            setattr(part, name, function)
    parts = {name: round(1000 * sum(values) / rounds, 2) for name, values in clock.seconds.items()}
    parts["backward and rest"] = round(2 * parts["whole step"] - sum(parts.values()), 2)
    return parts


def main() -> None:
    """Measure, print the table and the goal, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="section.key=value words on top of the defaults of the paper")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    settings = (
        {"given": arguments.words}
        if arguments.words
        else {
            "Lite0, 192², batch 4": LITE0,
            "the same, at most 256 pixels of a class": [*LITE0, "method.contrastive.max_pixels_per_class=256"],
        }
    )
    if device.type == "cuda" and not arguments.words:
        settings["ResNet-101, 512², batch 5"] = RESNET101
    rows = []
    for name, words in settings.items():
        row = {"name": name} | measure(words, 2 if arguments.quick else arguments.rounds, device)
        rows.append(row)
        print(f"\n{name} on {device}: bare {row['bare_ms']} ms, step {row['step_ms']} ms")
        for part, milliseconds in sorted(row["parts_ms"].items(), key=lambda item: -item[1]):
            print(f"  {part:18} {milliseconds:10.2f} ms")
        holds = row["ratio"] <= GOAL
        print(f"{'holds ' if holds else 'MISSED'} step at most {GOAL} times the bare passes: {row['ratio']}")
    if not arguments.quick and not arguments.words:
        result = {"command": " ".join(["python", *sys.argv]), "machine": machine(), "versions": versions(),
                  "date": time.strftime("%Y-%m-%d"), "goal": GOAL, "rows": rows}  # fmt: skip
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"step_{device.type}.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
