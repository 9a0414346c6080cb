"""The contrastive loss beside the plain N×M form of eq. 11, forward and backward, alternating in one process.

    python benchmarks/contrastive.py            # CUDA where there is one, else CPU; under five minutes on two cores
    python benchmarks/contrastive.py --quick    # one repeat of each, to see that it runs

The N×M form is written here from the equation, as the baseline: it forms every distance D(p, z). A table, the goals and
``results/contrastive_DEVICE.json``.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.losses import contrastive_loss
from semiseg.runtime.version import machine, versions

RESULTS = Path(__file__).parent / "results"
N, DIM, CLASSES, SIZE = 20_480, 256, 19, 256  # five crops of 512 at stride 8, width, Cityscapes, ψ of the paper


def plain_loss(
    p: Tensor, p_labels: Tensor, p_scores: Tensor, z: Tensor, z_labels: Tensor, z_scores: Tensor, num_classes: int
) -> Tensor:
    """Eq. 11 as it stands: for each class the N_P × N_Z matrix of w_p w_z (1 - cos(p, z)), then its mean."""
    total = p.new_zeros(())
    for c in range(num_classes):
        mine, theirs = p_labels == c, z_labels == c
        if not mine.any() or not theirs.any():
            continue
        w_p = p_scores[mine] / p_scores[mine].sum() * mine.sum()
        w_z = z_scores[theirs] / z_scores[theirs].sum() * theirs.sum()
        cosine = F.normalize(p[mine], dim=1) @ F.normalize(z[theirs], dim=1).T
        total = total + (w_p[:, None] * w_z[None, :] * (1 - cosine)).mean()
    return total / num_classes


def inputs(n: int, classes: int, size: int, device: torch.device) -> tuple[Any, ...]:
    """Random vectors, labels and scores: n prediction vectors, classes·size bank vectors."""
    g = torch.Generator().manual_seed(0)
    p = torch.randn(n, DIM, generator=g).to(device).requires_grad_()
    p_labels = torch.randint(0, classes, (n,), generator=g).to(device)
    z = torch.randn(classes * size, DIM, generator=g).to(device)  # the bank: it has no gradient
    z_labels = torch.arange(classes).repeat_interleave(size).to(device)
    scores = [torch.rand(len(v), generator=g).to(device).requires_grad_() for v in (p, z)]
    return p, p_labels, scores[0], z, z_labels, scores[1], classes


def seconds(loss: Callable[..., Tensor], arguments: tuple[Any, ...], device: torch.device) -> float:
    """One forward and backward pass."""
    for value in arguments:
        if isinstance(value, Tensor):
            value.grad = None
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    loss(*arguments).backward()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def measure(n: int, classes: int, size: int, repeats: int, device: torch.device, plain: bool = True) -> dict[str, Any]:
    """Median seconds of both forms, run in turn, and whether they agree."""
    arguments = inputs(n, classes, size, device)
    forms = {"factorised": contrastive_loss} | ({"plain": plain_loss} if plain else {})
    with torch.no_grad():
        values = {name: float(form(*arguments)) for name, form in forms.items()}
    times: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(repeats + 1):
        for name, form in forms.items():
            times[name].append(seconds(form, arguments, device))
    row: dict[str, Any] = {"n": n, "classes": classes, "size": size, "m": classes * size}
    row |= {f"{name}_ms": round(1000 * statistics.median(t[1:]), 2) for name, t in times.items()}
    if plain:
        row["ratio"] = round(row["plain_ms"] / row["factorised_ms"], 2)
        row["difference"] = abs(values["plain"] - values["factorised"])
    return row


def peak_memory(n: int, classes: int, size: int, device: torch.device) -> float:
    """MiB that a pass of the factorised form adds: allocator on CUDA, tensors kept for the backward pass on a CPU."""
    arguments = inputs(n, classes, size, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        contrastive_loss(*arguments).backward()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        contrastive_loss(*arguments)
    return sum(kept.values()) / 2**20


def main() -> None:
    """Measure, print the tables and the goals, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    device, repeats = torch.device(arguments.device), 1 if arguments.quick else arguments.repeats

    by_size = [measure(N, CLASSES, size, repeats, device) for size in (64, 256, 1024, 4096, 8192)]
    # As many bank vectors, shared by more classes.
    by_classes = [measure(N, c, CLASSES * SIZE // c, repeats, device, plain=False) for c in (2, 19, 64, 256)]
    by_rows = [measure(n, CLASSES, SIZE, repeats, device) for n in (5_000, 20_480, 60_000)]
    memory = [{"n": n, "size": s, "mib": round(peak_memory(n, CLASSES, s, device), 1)}
              for n, s in ((10_240, 256), (20_480, 256), (40_960, 256), (20_480, 4096))]  # fmt: skip
    for title, rows in (("bank size", by_size), ("classes", by_classes), ("prediction vectors", by_rows)):
        print(f"\n{title}")
        for row in rows:
            print("  " + ", ".join(f"{key} {value}" for key, value in row.items()))
    print("\nmemory kept for the backward pass\n  " + "\n  ".join(str(row) for row in memory))

    sizes = {row["size"]: row for row in by_size}
    classes = {row["classes"]: row for row in by_classes}
    growth = (memory[2]["mib"] - memory[1]["mib"]) / (memory[1]["mib"] - memory[0]["mib"])
    larger_bank = sizes[4096]["factorised_ms"] / sizes[256]["factorised_ms"]
    more_classes = classes[256]["factorised_ms"] / classes[19]["factorised_ms"]
    goals = [
        ("5 times faster than N×M at ψ = 256", sizes[256]["ratio"], sizes[256]["ratio"] >= 5),
        ("20 times faster than N×M at ψ = 4096", sizes[4096]["ratio"], sizes[4096]["ratio"] >= 20),
        ("ψ 256 → 4096 costs at most 2.5 times", larger_bank, larger_bank <= 2.5),
        ("19 → 256 classes cost at most 1.5 times", more_classes, more_classes <= 1.5),
        ("memory linear in N: twice the step for twice the rows", growth, 1.8 <= growth <= 2.2),
    ]  # fmt: skip
    print()
    for text, value, holds in goals:
        print(f"{'holds ' if holds else 'MISSED'} {text}: {value:.2f}")
    result = {
        "command": " ".join(["python", *sys.argv]), "machine": machine(), "versions": versions(),
        "date": time.strftime("%Y-%m-%d"), "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "by_size": by_size, "by_classes": by_classes, "by_rows": by_rows, "memory": memory,
        "goals": [{"goal": text, "value": round(value, 3), "holds": holds} for text, value, holds in goals],
    }  # fmt: skip
    if not arguments.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"contrastive_{device.type}.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
