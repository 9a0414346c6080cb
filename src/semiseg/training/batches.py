"""The batches of a run: labelled crops, from one domain or two, and unlabelled ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from semiseg.config.read import Config
from semiseg.data.domains import TwoDomains
from semiseg.data.loading import CropDataset, PositionedCrops, batches
from semiseg.data.run_data import RunData
from semiseg.data.stored_labels import StoredLabels
from semiseg.errors import SemisegError, UsageError
from semiseg.methods.base import Batch, Needs
from semiseg.runtime import distributed
from semiseg.training.clock import Clock

Loaded = Iterator[dict[str, Any]]


def to_batch(loaded: dict[str, Any], device: torch.device, layout: torch.memory_format) -> Batch:
    """What a loader gives, on the device: images float32 (B, 3, H, W) in [0, 1], the rest as it is.

    Two crops an image, (B, 2, …), become (2·B, …): first all first crops, then all second ones.
    """

    def moved(name: str) -> torch.Tensor | None:
        if name not in loaded:
            return None
        values: torch.Tensor = loaded[name].to(device, non_blocking=True)
        return values.transpose(0, 1).flatten(0, 1) if "corner" in loaded else values

    images, labels = moved("image"), moved("label")
    assert images is not None and labels is not None
    images = images.to(torch.float32).div_(255).contiguous(memory_format=layout)
    return Batch(images, labels, moved("target"), moved("inside"), moved("confidence"), moved("corner"))


def share_of_batch(size: int, key: str) -> int:
    """How many of the ``size`` crops of a step this process takes.

    Raises:
        UsageError: the batch cannot be divided evenly.
    """
    world = distributed.world()
    if size % world:
        raise UsageError(f"{key}={size} cannot be shared evenly by {world} processes; choose a multiple of {world}")
    return size // world


def one_line_errors(loaded: Iterable[dict[str, Any]]) -> Loaded:
    """The same; a file that a worker could not read is one line, without the worker's traceback."""
    try:
        yield from loaded
    except SemisegError as error:
        if not str(error).startswith("Caught "):
            raise
        last = str(error).rstrip().splitlines()[-1]  # "semiseg.errors.SemisegError: …", below the traceback
        raise type(error)(last.partition(f"{type(error).__name__}: ")[2] or last) from None


def training_batches(
    config: Config,
    data: RunData,
    start: int,
    stop: int,
    needs: Needs,
    pin_memory: bool = False,
    stored: StoredLabels | None = None,
    supervised: bool = False,
) -> tuple[Loaded, Loaded | None]:
    """Labelled and unlabelled batches of the steps ``start`` … ``stop`` - 1, this process's share of each.

    Args:
        config: sizes, seed, accumulation and workers are read.
        data: the image sets; with a source, labelled batches come from both domains (section 4.3.2).
        start, stop: steps of the run, since crops are functions of seed and position.
        needs: of the method; None is returned for unlabelled batches where it needs none.
        pin_memory: for copies to a CUDA device.
        stored: pseudo-labels that unlabelled crops bring along.
        supervised: a round that needs no unlabelled crops, whatever the method needs later.

    Raises:
        UsageError: a batch that the processes cannot share evenly, one that is needed later included.
    """
    c, t = config.data, config.training
    first, last = start * t.accumulation, stop * t.accumulation

    def loader(dataset: PositionedCrops, size: int) -> Loaded:
        return one_line_errors(batches(
            dataset, size, first, last, c.workers, pin_memory=pin_memory, rank=distributed.rank(),
            world=distributed.world(),
        ))  # fmt: skip

    target = CropDataset(data.train, data.labelled, c.crop_size, t.seed, "labelled", resize=c.resize, cache=c.cache)
    pool: PositionedCrops = target
    if data.source is not None:
        source = CropDataset(
            data.source, range(len(data.source)), c.crop_size, t.seed, "source", resize=c.source.resize, cache=c.cache
        )
        pool = TwoDomains(target, source, c.source.sampling, t.batch_size, t.iterations * t.accumulation)
    labelled = loader(pool, share_of_batch(t.batch_size, "training.batch_size"))
    if not needs.unlabelled:
        return labelled, None
    size = share_of_batch(max(1, round(t.batch_size * t.unlabelled_ratio)), "batch_size * unlabelled_ratio")
    if supervised:
        return labelled, None
    indices = sorted({*data.unlabelled, *data.labelled}) if needs.labelled_too else data.unlabelled
    unlabelled = CropDataset(
        data.train, indices, c.crop_size, t.seed, "unlabelled", resize=c.resize, cache=c.cache,
        use_labels=False, crops=needs.crops, overlap=needs.overlap, stored=stored,
    )  # fmt: skip
    return labelled, loader(unlabelled, size)


def batches_on_device(
    loaders: tuple[Loaded, Loaded | None], device: torch.device, layout: torch.memory_format, clock: Clock
) -> Callable[[], tuple[Batch, Batch | None]]:
    """A function that gives the next labelled and unlabelled batch on the device; the clock counts the waiting."""
    labelled, unlabelled = loaders

    def next_batches() -> tuple[Batch, Batch | None]:
        with clock.waiting():
            first = to_batch(next(labelled), device, layout)
            return first, to_batch(next(unlabelled), device, layout) if unlabelled is not None else None

    return next_batches


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
