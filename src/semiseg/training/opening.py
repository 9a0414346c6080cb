"""The words at the start of a run: what it trains on, where, how, and what was chosen for it and why."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import wrap

import numpy as np
import torch

from semiseg import derived
from semiseg.config.read import Config
from semiseg.data.base import ImageSet
from semiseg.data.run_data import RunData
from semiseg.errors import SemisegError
from semiseg.runtime.plugins import method_class
from semiseg.runtime.shell import command_line
from semiseg.training.advice.unlabelled import percent
from semiseg.training.journal import tell

MASKS, READERS = 64, 8
"""Masks whose pixels are counted, evenly spaced in the list, and threads that read them."""
MOST, RAREST = 12, 3
"""Classes that are named, and how many of them from the rare end where there are more."""
WIDTH = 80


def tell_opening(
    config: Config, data: RunData, device: torch.device, settled: derived.Settled | None, resumed: bool
) -> None:
    """Print the opening to stderr and, where settings were derived, their table; of a resumed run the first line."""
    lines = opening(config, data, device, settled)
    for line in lines[:1] if resumed else lines:
        tell(line)
    if settled is not None:
        derived.show(settled.rows)


def opening(config: Config, data: RunData, device: torch.device, settled: derived.Settled | None) -> list[str]:
    """Lines of at most 80 columns, but for the command, which is whole.

    Args:
        config: complete.
        data: opened and checked.
        device: where the run trains.
        settled: what was derived of a folder; its facts say how large the images are.
    """
    found = [f"run: {config.run_dir}", f"images: {_images(data, settled)}", f"classes: {class_shares(data)}",
             f"device: {_device(device)}", f"method: {_method(config)}"]  # fmt: skip
    lines = [line for text in found for line in wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False)]
    return [*lines, f"a page that follows it: {command_line(['semiseg', 'watch', Path(config.run_dir)])}"]


def class_shares(data: RunData) -> str:
    """``soil 61 %, leaf 38 %, fruit 0.7 % of the labelled pixels``; of many classes the frequent and the rarest."""
    chosen = sorted(data.labelled)[:: max(1, -(-len(data.labelled) // MASKS))]
    with ThreadPoolExecutor(READERS) as pool:
        counts = np.sum(list(pool.map(lambda i: _counted(data.train, i), chosen)), axis=0)
    names, total = data.train.info.classes, max(1, int(counts.sum()))
    shares = [f"{name} {percent(count / total)}" for name, count in zip(names, counts, strict=True)]
    if len(shares) > MOST:
        order: Sequence[int] = np.argsort(-counts, kind="stable").tolist()
        left_out = len(shares) - MOST
        shares = [
            *(shares[i] for i in order[: MOST - RAREST]), f"{left_out} more", *(shares[i] for i in order[-RAREST:])
        ]  # fmt: skip
    of = f", in {len(chosen)} of the masks" if len(chosen) < len(data.labelled) else ""
    return f"{', '.join(shares)} of the labelled pixels{of}"


def _counted(images: ImageSet, i: int) -> np.ndarray:
    """Pixels of each class in a mask, int64 (C,)."""
    try:
        label = images.label(i)
    except SemisegError:  # the check of the data has said so
        label = None
    values = np.zeros(0, np.uint8) if label is None else label.ravel()
    return np.bincount(values, minlength=256)[: images.info.num_classes]


def _images(data: RunData, settled: derived.Settled | None) -> str:
    labelled = set(data.labelled)
    without = len(data.train) - len(labelled)
    validation = sum(data.val.has_label(i) for i in range(len(data.val)))
    words = f"{len(labelled)} with masks, {without} without, {validation} to validate"
    if data.source is not None:
        words += f", {len(data.source)} of another domain"
    return words if settled is None else f"{words}; {settled.facts.sizes} pixels"


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        of = torch.cuda.get_device_properties(device)
        return f"{of.name}, {of.total_memory / 2**30:.0f} GiB ({device})"
    cores = os.cpu_count() or 1
    return f"{device.type}, {torch.get_num_threads()} of {cores} cores" if device.type == "cpu" else str(device)


def _method(config: Config) -> str:
    t, n = config.training, config.network
    height, width = config.data.crop_size
    crops = f"{t.batch_size} labelled"
    if method_class(config.method.name).needs.unlabelled:
        crops += f" and {max(1, round(t.batch_size * t.unlabelled_ratio))} unlabelled"
    weights = "random weights" if n.pretrained == "none" else f"weights {n.pretrained}"
    weights = weights if n.warm_start is None else f"weights of {n.warm_start}"
    return (
        f"{config.method.name}, {t.iterations} steps of {crops} crops of {width}×{height} pixels; {n.architecture} on "
        f"{n.backbone}, {weights}"
    )
