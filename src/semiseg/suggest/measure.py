"""What a run says of an image it was not trained on: uncertainty, distance from the bank, mean feature, classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.config.read import Config
from semiseg.data.base import ImageSet, resized
from semiseg.data.resizing import resize_image
from semiseg.data.run_data import check_classes, open_run_data
from semiseg.data.splits.lists import read_list
from semiseg.errors import SemisegError
from semiseg.methods import Method
from semiseg.methods.base.bank import method_of
from semiseg.networks import Output, SegmentationNetwork
from semiseg.networks.build import build_network_of
from semiseg.runs import checkpoint
from semiseg.runs.begun import data_as_begun
from semiseg.runs.edited import as_edited


@dataclass(frozen=True)
class Opened:
    """A run as it was saved, its training images, and which of them had masks in it and which had none (indices)."""

    config: Config
    method: Method
    images: ImageSet
    unlabelled: list[int]
    labelled: list[int]


def open_run(run: Path, device: torch.device) -> Opened:
    """The last checkpoint of a run folder, or a checkpoint file, with its data.

    Raises:
        SemisegError: no checkpoint, no data, other classes, or no unlabelled image.
    """
    path = run / "checkpoints" / "last.pt" if run.is_dir() else run
    state = checkpoint.load(path, device)
    config = as_edited(path, Config.parse(state["config"], source=str(path)))
    data = open_run_data(data_as_begun(config.data, state.get("data", {})))
    check_classes(data.train.info.classes, tuple(state["info"]["classes"]))
    used = set(data.labelled_names)
    candidates = data.unlabelled
    listed = run / "labelled.txt"
    if listed.is_file():  # with masks added since, a count or fraction would draw other images than the run had
        used = set(read_list(listed, data.train.names))
        candidates = data.unlabelled if config.data.labelled == "all" else list(range(len(data.train)))
    unlabelled = [i for i in candidates if data.train.names[i] not in used]
    if not unlabelled:
        raise SemisegError("the run has no unlabelled image left, so there is none to label next")
    network = build_network_of(config, data.train.info.num_classes, pretrained=False)
    method = method_of(config)(config, network, len(data.labelled)).to(device)
    method.load_state_dict(state["method"])
    labelled = [i for i, name in enumerate(data.train.names) if name in used]
    return Opened(config, method, data.train, unlabelled, labelled)


class Measured(NamedTuple):
    """What is known of an image.

    Attributes:
        uncertainty: entropy of the softmax over ln C, mean over the pixels, in [0, 1].
        distance: cosine distance of the projections to the nearest vector of the bank, mean; None without a bank.
        embedding: mean feature of the backbone's last map, of length 1, (D,) on the CPU.
        share: mean probability of every class, (C,).
        doubt: entropy in bits of "this class or another", mean over the pixels, for every class (C,), in [0, 1].
    """

    uncertainty: float
    distance: float | None
    embedding: Tensor
    share: Tensor
    doubt: Tensor


def measure(method: Method, image: np.ndarray, config: Config) -> Measured:
    """Of an image uint8 (H, W, 3), by the teacher (the student where there is no teacher)."""
    maps, output = _pass(method, image, config)
    height, _ = resized((image.shape[0], image.shape[1]), config.data.resize)
    distances = method.distance(output.features, height)
    p = output.logits.float().softmax(dim=1)
    return Measured(
        uncertainty=float(entropy(output.logits).mean()),
        distance=None if distances is None else float(distances.mean()),
        embedding=_embedding(maps),
        share=p.mean(dim=(0, 2, 3)).cpu(),
        doubt=(_bits(p) + _bits(1 - p)).mean(dim=(0, 2, 3)).cpu(),
    )


def embedding(method: Method, image: np.ndarray, config: Config) -> Tensor:
    """The mean feature alone, (D,) on the CPU, as :func:`measure` gives it."""
    return _embedding(_network(method).encode(_batch(method, image, config)))


def uncertainty(method: Method, image: np.ndarray, config: Config) -> Tensor:
    """The map of uncertainty, (1, h, w), at the network's own resolution."""
    return entropy(_pass(method, image, config)[1].logits)


def entropy(logits: Tensor) -> Tensor:
    """(B, C, h, w) → (B, h, w), 0 for certain and 1 for even probabilities."""
    log = logits.float().log_softmax(dim=1)
    return -(log.exp() * log).sum(dim=1) / math.log(logits.shape[1])


def _embedding(maps: list[Tensor]) -> Tensor:
    return F.normalize(maps[-1].float().mean(dim=(0, 2, 3)), dim=0).cpu()


def _bits(p: Tensor) -> Tensor:
    return -torch.special.xlogy(p, p) / math.log(2)


def _network(method: Method) -> SegmentationNetwork:
    return method.student if method.teacher is None else method.teacher


def _batch(method: Method, image: np.ndarray, config: Config) -> Tensor:
    seen = image if config.data.resize is None else resize_image(image, config.data.resize)
    device = next(_network(method).parameters()).device
    return torch.from_numpy(seen.copy()).to(device).permute(2, 0, 1)[None].float().div_(255)


def _pass(method: Method, image: np.ndarray, config: Config) -> tuple[list[Tensor], Output]:
    network = _network(method)
    maps = network.encode(_batch(method, image, config))
    return maps, network.decode(maps)
