"""Networks by name: backbones, architectures, and what a configuration describes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from semiseg.errors import SemisegError, UsageError
from semiseg.networks.backbones import dinov2, dinov3
from semiseg.networks.backbones.base import Backbone
from semiseg.networks.backbones.efficientnet_lite import EfficientNetLite0
from semiseg.networks.backbones.resnet import LAYERS, ResNet
from semiseg.networks.backbones.timm import PREFIX as TIMM
from semiseg.networks.backbones.timm import TimmBackbone
from semiseg.networks.batch_norm import Policy, apply_batch_norm_policy
from semiseg.networks.decoders.deeplabv2 import DILATIONS, DILATIONS_REFERENCE, DilatedClassifier, LastMap
from semiseg.networks.decoders.deeplabv3plus import LOW_STRIDE, DeepLabV3Plus
from semiseg.networks.decoders.dpt import DPT
from semiseg.networks.decoders.norm import Norm
from semiseg.networks.segmentation import SegmentationNetwork
from semiseg.networks.weights.pretrained import load_pretrained
from semiseg.runtime import plugins

if TYPE_CHECKING:
    from semiseg.config.read import Config

BACKBONES: dict[str, Callable[[int], Backbone]] = {
    **{name: partial(ResNet, name) for name in LAYERS},
    "efficientnet_lite0": EfficientNetLite0,
    **{dinov2.PREFIX + size: partial(dinov2.Dinov2, size) for size in dinov2.SIZES},
    **{dinov3.PREFIX + size: partial(dinov3.Dinov3, size) for size in dinov3.SIZES},
}  # and timm:NAME, which only timm can list, and what installed packages bring
OUTPUT_STRIDES = (8, 16, 32)
BATCH_NORM: tuple[Policy, ...] = ("train", "frozen", "frozen_affine")
DECODER_NORM: tuple[Norm, ...] = ("batch", "group")
ASPP = {"paper": DILATIONS, "reference": DILATIONS_REFERENCE}


def _deeplabv2(body: Backbone, classes: int, *, aspp: str, **_: object) -> SegmentationNetwork:
    dim = body.channels[-1]
    classifier = DilatedClassifier(dim, classes, ASPP[aspp])
    return SegmentationNetwork(
        body, LastMap(), classifier, num_classes=classes, feature_dim=dim, feature_stride=body.strides[-1]
    )


def _deeplabv3plus(
    body: Backbone, classes: int, *, decoder_channels: int, decoder_norm: Norm, separable: bool, **_: object
) -> SegmentationNetwork:
    decoder = DeepLabV3Plus(body.channels, body.strides, decoder_channels, separable=separable, kind=decoder_norm)
    classifier = nn.Conv2d(decoder_channels, classes, 1)
    return SegmentationNetwork(
        body, decoder, classifier, num_classes=classes, feature_dim=decoder_channels, feature_stride=LOW_STRIDE
    )


def _dpt(body: Backbone, classes: int, *, decoder_channels: int, **_: object) -> SegmentationNetwork:
    body.use_own_grid()
    decoder = DPT(body.channels, body.strides, decoder_channels)
    classifier = nn.Conv2d(decoder_channels, classes, 1)
    return SegmentationNetwork(
        body, decoder, classifier, num_classes=classes, feature_dim=decoder_channels, feature_stride=decoder.stride
    )


ARCHITECTURES: dict[str, Callable[..., SegmentationNetwork]] = {
    "deeplabv2": _deeplabv2,
    "deeplabv3plus": _deeplabv3plus,
    "dpt": _dpt,
}


def build_network(
    architecture: str,
    backbone: str,
    num_classes: int,
    output_stride: int = 16,
    pretrained: str | Path = "imagenet",
    *,
    load: bool = True,
    batch_norm: Policy = "train",
    freeze_backbone: bool = False,
    decoder_channels: int = 256,
    decoder_norm: Norm = "batch",
    separable: bool = True,
    aspp: str = "paper",
    channels: int = 3,
) -> SegmentationNetwork:
    """The network that these names describe, ready to train.

    Args:
        architecture: a key of ``ARCHITECTURES``.
        backbone: a key of ``BACKBONES``, ``timm:NAME``, or a name that an installed package brings.
        num_classes: C.
        output_stride: of the backbone, 8 (the paper), 16 or 32 pixels; a transformer keeps its patches under dpt.
        pretrained: ``"none"``, ``"imagenet"``, ``"coco"`` or a file of weights, see ``load_pretrained``.
        load: False where a checkpoint follows, or none is needed: nothing is read, but the variant of ``"coco"`` is
            built. That of a file is in the checkpoint.
        batch_norm: see ``apply_batch_norm_policy``.
        freeze_backbone: see ``SegmentationNetwork.freeze_backbone``.
        decoder_channels: deeplabv3plus and dpt: width of pyramid and V.
        decoder_norm: deeplabv3plus: ``"batch"`` or ``"group"``, see ``networks.decoders.norm``.
        separable: deeplabv3plus: depthwise-separable convolutions, cheap on a CPU, or plain ones.
        aspp: deeplabv2: ``"paper"``, four dilated branches, or ``"reference"``, the authors' code, two.
        channels: of the images, see ``SegmentationNetwork.widen``.

    Raises:
        UsageError: a name or number is not one of those above.
        SemisegError: the pretrained weights cannot be had or do not fit, or the library or the package of the backbone
            is missing or broken.
    """
    _check("network.architecture", architecture, ARCHITECTURES)
    _check("network.output_stride", output_stride, OUTPUT_STRIDES)
    _check("network.batch_norm", batch_norm, BATCH_NORM)
    _check("network.decoder_norm", decoder_norm, DECODER_NORM)
    _check("network.aspp", aspp, ASPP)
    network = ARCHITECTURES[architecture](
        build_backbone(backbone, output_stride),
        num_classes,
        decoder_channels=decoder_channels,
        decoder_norm=decoder_norm,
        separable=separable,
        aspp=aspp,
    )
    if load:
        load_pretrained(network, pretrained, backbone)
    elif pretrained == "coco":
        network.follow("caffe")
    network.widen(channels)
    apply_batch_norm_policy(network, batch_norm)
    if freeze_backbone:
        network.freeze_backbone()
    return network


def build_network_of(config: Config, num_classes: int, pretrained: bool = True) -> SegmentationNetwork:
    """The network that a configuration describes; ``pretrained=False`` where a checkpoint follows."""
    c = config.network
    return build_network(
        c.architecture,
        c.backbone,
        num_classes,
        output_stride=c.output_stride,
        pretrained=c.pretrained,
        load=pretrained,
        batch_norm=c.batch_norm,
        freeze_backbone=c.freeze_backbone,
        decoder_channels=c.decoder_channels,
        decoder_norm=c.decoder_norm,
        aspp=c.aspp,
        channels=config.data.channel_count,
    )


def build_backbone(name: str, output_stride: int) -> Backbone:
    """A backbone by its name, with random weights. Names of this package come before those of installed ones.

    Args:
        name: a key of ``BACKBONES``, ``timm:NAME``, or an entry point of the group ``semiseg.backbones``: a callable
            that takes the output stride and gives a :class:`Backbone`.
        output_stride: 8, 16 or 32 pixels.

    Raises:
        UsageError: there is no such backbone.
        SemisegError: its library is missing, or the package that brings it is broken.
    """
    if name in BACKBONES:
        return BACKBONES[name](output_stride)
    if name.startswith(TIMM):
        return TimmBackbone(name.removeprefix(TIMM), output_stride)
    _check("network.backbone", name, [*BACKBONES, f"{TIMM}NAME", *plugins.installed(plugins.BACKBONES)])
    body = plugins.load(plugins.BACKBONES, name)(output_stride)
    if not isinstance(body, Backbone):
        raise SemisegError(
            f"network.backbone={name} gives a {type(body).__name__} and no semiseg.networks.backbones.base.Backbone; "
            "ask the package that brings it for a newer version"
        )
    return body


def _check(key: str, value: object, valid: Iterable[object]) -> None:
    if value in (known := list(valid)):
        return
    names, wanted = [str(name) for name in known], str(value).lower().replace("+", "plus")
    near = [name for name in names if name.startswith(wanted)]
    near = near or difflib.get_close_matches(wanted, names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"{key}={value} is not known; choose one of {', '.join(names)}{hint}")
