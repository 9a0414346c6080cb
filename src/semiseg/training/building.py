"""The method of a run, on its device and in its memory layout."""

from __future__ import annotations

from pathlib import Path

import torch

from semiseg.config.read import Config
from semiseg.data.rasters.statistics import channel_statistics
from semiseg.data.run_data import RunData
from semiseg.methods.base import Method
from semiseg.methods.base.bank import method_of
from semiseg.networks import SegmentationNetwork
from semiseg.networks.build import build_network_of
from semiseg.runs.begun import trained_on
from semiseg.runtime import distributed
from semiseg.training import warm_start
from semiseg.training.journal import remark
from semiseg.training.parallel import sync_batch_norm


def layout(config: Config) -> torch.memory_format:
    """Memory layout of images and weights, by ``training.channels_last``."""
    return torch.channels_last if config.training.channels_last else torch.contiguous_format


def networks(method: Method) -> list[SegmentationNetwork]:
    """All segmentation networks of a method: its learners, then the teachers that follow them."""
    teachers = [teacher for teacher, _ in method.averages() if isinstance(teacher, SegmentationNetwork)]
    return [*method.learners().values(), *teachers]


def build_method(config: Config, data: RunData, device: torch.device, pretrained: bool) -> Method:
    """The configured method as training begins: compiled, recomputing and synchronised as ``training.*`` says.

    Args:
        config: of the run.
        data: its classes and the number of labelled images are read; of other channels than three, which no published
            weights were trained on, their mean and deviation too.
        device: where the run trains.
        pretrained: whether to load pretrained weights, or those that the run begins with; False where a checkpoint
            follows.

    Raises:
        SemisegError: the network cannot be built, or its weights cannot be had.
    """
    t = config.training
    warm = config.network.warm_start if pretrained else None
    network = build_network_of(config, data.train.info.num_classes, pretrained=pretrained and warm is None)
    if warm is not None:
        told = warm_start.fill(network, warm, data.train.info.classes)
        if seen := trained_on(Path(warm), data.val.names):
            told += f"; {len(seen)} validation images were trained on there: figures look better than they are"
        if distributed.is_main():
            remark(told)
    elif pretrained and network.channels != 3:
        network.normalise(*channel_statistics(data.train))
    method: Method = method_of(config)(config, network, len(data.labelled)).to(device=device)
    if t.sync_batch_norm and distributed.world() > 1 and device.type == "cuda":
        sync_batch_norm(method)
    for network in networks(method):
        network.to(memory_format=layout(config))  # type: ignore[call-overload]
        if t.compile:
            network.compile()
    for network in method.learners().values():
        network.recompute = t.activation_checkpointing
    return method
