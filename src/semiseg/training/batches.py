"""The batches of a run: labelled crops, from one domain or two, and unlabelled ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from semiseg.config.read import Config
from semiseg.data.domains import TwoDomains
from semiseg.data.loading import CropDataset, PositionedCrops, batches
from semiseg.data.run_data import RunData
from semiseg.errors import SemisegError
from semiseg.methods import Batch
from semiseg.runtime import distributed
from semiseg.training.optimisation import share_of_batch

Loaded = Iterator[dict[str, Any]]


def to_batch(loaded: dict[str, Any], device: torch.device, layout: torch.memory_format) -> Batch:
    """What a loader gives, on the device: images float32 (B, 3, H, W) in [0, 1], the rest as it is."""
    images = loaded["image"].to(device, non_blocking=True).to(torch.float32).div_(255)
    target, inside = (
        loaded[name].to(device, non_blocking=True) if name in loaded else None for name in ("target", "inside")
    )
    labels = loaded["label"].to(device, non_blocking=True)
    return Batch(images.contiguous(memory_format=layout), labels, target, inside)


def one_line_errors(loaded: Iterable[dict[str, Any]]) -> Loaded:
    """The same, but an unreadable file found by a worker is told as by this process, without the worker's traceback."""
    try:
        yield from loaded
    except SemisegError as error:
        if not str(error).startswith("Caught "):
            raise
        last = str(error).rstrip().splitlines()[-1]  # "semiseg.errors.SemisegError: …", below the traceback
        raise type(error)(last.partition(f"{type(error).__name__}: ")[2] or last) from None


def training_batches(
    config: Config, data: RunData, start: int, needs_unlabelled: bool, pin_memory: bool
) -> tuple[Loaded, Loaded | None]:
    """Labelled and unlabelled batches of the steps from ``start`` on, this process's share of each.

    Args:
        config: sizes, seed, accumulation and workers are read.
        data: the image sets; with a source, labelled batches come from both domains (section 4.3.2).
        start: the first step, since crops are functions of seed and position.
        needs_unlabelled: whether the method looks at unlabelled images; None is returned for them otherwise.
        pin_memory: for copies to a CUDA device.

    Raises:
        UsageError: a batch that the processes cannot share evenly.
    """
    c, t = config.data, config.training
    first, last = start * t.accumulation, t.iterations * t.accumulation

    def crops(indices: list[int], stream: str, labels: bool) -> CropDataset:
        return CropDataset(
            data.train, indices, c.crop_size, t.seed, stream, resize=c.resize, cache=c.cache, use_labels=labels
        )

    def loader(dataset: PositionedCrops, size: int) -> Loaded:
        return one_line_errors(batches(
            dataset, size, first, last, c.workers, pin_memory=pin_memory, rank=distributed.rank(),
            world=distributed.world(),
        ))  # fmt: skip

    target = crops(data.labelled, "labelled", True)
    pool: PositionedCrops = target
    if data.source is not None:
        source = CropDataset(
            data.source, range(len(data.source)), c.crop_size, t.seed, "source", resize=c.source.resize, cache=c.cache
        )
        pool = TwoDomains(target, source, c.source.sampling, t.batch_size, last)
    labelled = loader(pool, share_of_batch(t.batch_size, "training.batch_size"))
    if not needs_unlabelled:
        return labelled, None
    size = max(1, round(t.batch_size * t.unlabelled_ratio))
    unlabelled = crops(data.unlabelled, "unlabelled", False)
    return labelled, loader(unlabelled, share_of_batch(size, "batch_size * unlabelled_ratio"))


@torch.no_grad()
def refresh_batch_norm(
    student: nn.Module, config: Config, data: RunData, device: torch.device, layout: torch.memory_format
) -> None:
    """Renew the running statistics as plain averages over ``training.batch_norm_refresh`` labelled batches.

    The authors' code does so after the last step; frozen BatchNorm is left alone.
    """
    norms = [m for m in student.modules() if isinstance(m, _BatchNorm) and m.training]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    c, t = config.data, config.training
    crops = CropDataset(
        data.train, data.labelled, c.crop_size, t.seed, "refresh", resize=c.resize, cache=False, use_labels=False
    )
    for batch in batches(crops, t.batch_size, 0, t.batch_norm_refresh, 0):
        student(to_batch(batch, device, layout).images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
