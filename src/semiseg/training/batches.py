"""The batches of a run: labelled crops, from one domain or two, and unlabelled ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from semiseg.augment.geometry import Context
from semiseg.augment.weak_strong import Strength
from semiseg.config.read import Config
from semiseg.data.base import Size
from semiseg.data.domains import TwoDomains
from semiseg.data.loading import CropDataset, PositionedCrops, batches
from semiseg.data.run_data import RunData
from semiseg.data.stored_labels import StoredLabels
from semiseg.errors import SemisegError, UsageError
from semiseg.methods.base import Batch, Needs
from semiseg.methods.base.views import strengths
from semiseg.runtime import distributed
from semiseg.training.clock import Clock
from semiseg.training.workers import restarted

Loaded = Iterator[dict[str, Any]]


def to_batch(loaded: dict[str, Any], device: torch.device, layout: torch.memory_format) -> Batch:
    """What a loader gives, on the device: images float32 (B, 3, H, W) in [0, 1], the rest as it is.

    Two crops an image, (B, 2, …), become (2·B, …): first all first crops, then all second ones. Crops that come in
    context are cut out of it.
    """

    def moved(name: str) -> torch.Tensor | None:
        if name not in loaded:
            return None
        values: torch.Tensor = loaded[name].to(device, non_blocking=True)
        return values.transpose(0, 1).flatten(0, 1) if "corner" in loaded else values

    images, labels, inside, confidence = (moved(name) for name in ("image", "label", "inside", "confidence"))
    assert images is not None and labels is not None
    images = images.to(torch.float32).div_(255).contiguous(memory_format=layout)
    context = None
    if "context" in loaded:
        first, extent, size = loaded["context"].unbind(1)  # stay on the CPU
        context = Context([images, labels], first, extent)
        images, labels = _cut(images, first, size).contiguous(memory_format=layout), _cut(labels, first, size)
        inside, confidence = (
            values if values is None else _cut(values, first, size) for values in (inside, confidence)
        )
    return Batch(images, labels, moved("target"), inside, confidence, moved("corner"), context, loaded.get("index"))


def _cut(values: torch.Tensor, first: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
    """(B, …, H', W') → (B, …, H, W): from pixel ``first`` (B, 2) on as many as ``size`` (B, 2), alike for all."""
    corners = zip(values, first.tolist(), size.tolist(), strict=True)
    return torch.stack([image[..., top : top + h, left : left + w] for image, (top, left), (h, w) in corners])


def _with_context(config: Config, strength: Strength) -> Size | None:
    """(height, width) that crops are loaded with, so that a view of this strength finds what it shows."""
    smallest = strength.smallest_scale
    if not config.data.context or smallest == 1:
        return None
    height, width = (math.ceil(side / smallest) for side in config.data.crop_size)
    return height, width


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
        last = str(error.args[0]).rstrip().splitlines()[-1]  # "semiseg.errors.SemisegError: …", below the traceback
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
    around, around_unlabelled = (_with_context(config, strength) for strength in strengths(config.method.augment))

    def loader(dataset: PositionedCrops, size: int) -> Loaded:
        return one_line_errors(restarted(lambda start: batches(
            dataset, size, start, last, c.workers, pin_memory=pin_memory, rank=distributed.rank(),
            world=distributed.world(),
        ), first))  # fmt: skip

    target = CropDataset(
        data.train, data.labelled, c.crop_size, t.seed, "labelled", resize=c.resize, cache=c.cache, context=around
    )
    pool: PositionedCrops = target
    if data.source is not None:
        source = CropDataset(
            data.source, range(len(data.source)), c.crop_size, t.seed, "source", resize=c.source.resize, cache=c.cache,
            context=around,
        )  # fmt: skip
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
        context=around_unlabelled if needs.context else None,
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
