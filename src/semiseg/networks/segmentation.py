"""A segmentation network f_θ as the method sees it: images in, features V and logits out (section 3.4)."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.errors import UsageError
from semiseg.networks.activation_checkpointing import recomputed
from semiseg.networks.backbones.dinov2 import PREFIX as DINOV2
from semiseg.networks.backbones.dinov2 import SIZES, Dinov2
from semiseg.networks.backbones.efficientnet_lite import EfficientNetLite0
from semiseg.networks.backbones.resnet import LAYERS, VARIANTS, ResNet, Variant
from semiseg.networks.backbones.timm import PREFIX as TIMM
from semiseg.networks.backbones.timm import TimmBackbone
from semiseg.networks.batch_norm import Policy, apply_batch_norm_policy
from semiseg.networks.decoders.deeplabv2 import DILATIONS, DILATIONS_REFERENCE, DilatedClassifier
from semiseg.networks.decoders.deeplabv3plus import Decoder
from semiseg.networks.weights.pretrained import load_pretrained

Backbone = ResNet | EfficientNetLite0 | TimmBackbone | Dinov2

BACKBONES: dict[str, Callable[[int], Backbone]] = {
    **{name: partial(ResNet, name) for name in LAYERS},
    "efficientnet_lite0": EfficientNetLite0,
    **{DINOV2 + size: partial(Dinov2, size) for size in SIZES},
}  # and timm:NAME, which only timm can list
OUTPUT_STRIDES = (8, 16, 32)
BATCH_NORM: tuple[Policy, ...] = ("train", "frozen", "frozen_affine")
ASPP = {"paper": DILATIONS, "reference": DILATIONS_REFERENCE}


class Output(NamedTuple):
    """logits (B, C, h, w) and features V = f_θ⁻(x) (B, D, h, w), both at the features' resolution."""

    logits: Tensor
    features: Tensor


class SegmentationNetwork(nn.Module):
    """Backbone, decoder and classifier.

    Args:
        backbone: gives a stride-4 and a last feature.
        decoder: turns both into V; ``None`` where V is the last feature.
        classifier: V → logits, at the same resolution.
        num_classes: C.
        feature_dim: D, width of V.
        feature_stride: pixels of the image per pixel of V.

    Attributes:
        mean, std: (1, 3, 1, 1) float32, the normalisation the backbone's weights expect; saved with them.

    ``state_dict()`` also tells the variant of the backbone (see ``ResNet``), and loading one changes to it.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: Backbone,
        decoder: nn.Module | None,
        classifier: nn.Module,
        *,
        num_classes: int,
        feature_dim: int,
        feature_stride: int,
    ) -> None:
        super().__init__()
        self.backbone, self.decoder, self.classifier = backbone, decoder, classifier
        self.num_classes, self.feature_dim, self.feature_stride = num_classes, feature_dim, feature_stride
        self.batch_norm: Policy = "train"
        self.recompute = False  # activation checkpointing of the backbone
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Output:
        """images (B, 3, H, W) float in [0, 1], RGB → logits (B, C, h, w) and features (B, D, h, w).

        h = ⌈H / feature_stride⌉, w likewise; one more for some sizes in Caffe's variant (see ``ResNet.forward``).
        """
        x, recompute = (images - self.mean) / self.std, self.recompute and self.training
        if isinstance(self.backbone, (ResNet, EfficientNetLite0)):
            self.backbone.recompute = recompute
            low, last = self.backbone(x)
        else:
            low, last = recomputed(self.backbone, x, recompute)
        features = last if self.decoder is None else self.decoder(low, last)
        return Output(self.classifier(features), features)

    def follow(self, variant: Variant) -> None:
        """Takes on the structure and the normalisation of a variant of ResNet's weights; others have only one."""
        if isinstance(self.backbone, ResNet):
            self.backbone.follow(variant)
            for buffer, values in ((self.mean, self.backbone.mean), (self.std, self.backbone.std)):
                buffer.copy_(buffer.new_tensor(values).view(1, 3, 1, 1))

    def get_extra_state(self) -> Tensor:
        """Index of the backbone's variant in ``VARIANTS``, for ``state_dict()``."""
        variant: Variant = self.backbone.variant if isinstance(self.backbone, ResNet) else "torchvision"
        return torch.tensor(VARIANTS.index(variant), dtype=torch.uint8, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """The reverse, for ``load_state_dict()``; mean and std are in the state on their own."""
        if isinstance(self.backbone, ResNet):
            self.backbone.follow(VARIANTS[int(state)])

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Checkpoints from before there were variants are torchvision's.
        state_dict.setdefault(prefix + "_extra_state", torch.tensor(0, dtype=torch.uint8))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def train(self, mode: bool = True) -> SegmentationNetwork:
        """As ``nn.Module.train``, with the backbone's BatchNorm policy kept."""
        super().train(mode)
        apply_batch_norm_policy(self, self.batch_norm)
        return self

    def backbone_parameters(self) -> list[nn.Parameter]:
        """The pretrained parameters that learn, for a learning rate of their own."""
        return [parameter for parameter in self.backbone.parameters() if parameter.requires_grad]

    def stem_parameters(self) -> list[nn.Parameter]:
        """The first convolution and its norm, for a learning rate of their own; part of the backbone's."""
        stem = ("conv1.", "bn1.", "conv_stem.")
        return [p for n, p in self.backbone.named_parameters() if n.startswith(stem)]

    def classifier_parameters(self) -> list[nn.Parameter]:
        """The parameters that learn and start at random: decoder and classifier."""
        own = self.classifier if self.decoder is None else nn.ModuleList([self.decoder, self.classifier])
        return [parameter for parameter in own.parameters() if parameter.requires_grad]


def _deeplabv2(body: Backbone, classes: int, stride: int, *, aspp: str, **_: object) -> SegmentationNetwork:
    classifier = DilatedClassifier(body.channels, classes, ASPP[aspp])
    return SegmentationNetwork(
        body, None, classifier, num_classes=classes, feature_dim=body.channels, feature_stride=stride
    )


def _deeplabv3plus(
    body: Backbone, classes: int, stride: int, *, decoder_channels: int, separable: bool, **_: object
) -> SegmentationNetwork:
    decoder = Decoder(body.low_channels, body.channels, stride, decoder_channels, separable=separable)
    classifier = nn.Conv2d(decoder_channels, classes, 1)
    return SegmentationNetwork(
        body, decoder, classifier, num_classes=classes, feature_dim=decoder_channels, feature_stride=4
    )


ARCHITECTURES: dict[str, Callable[..., SegmentationNetwork]] = {
    "deeplabv2": _deeplabv2,
    "deeplabv3plus": _deeplabv3plus,
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
    decoder_channels: int = 256,
    separable: bool = True,
    aspp: str = "paper",
) -> SegmentationNetwork:
    """The network that these names describe, ready to train.

    Args:
        architecture: a key of ``ARCHITECTURES``.
        backbone: a key of ``BACKBONES``, or ``timm:NAME``.
        num_classes: C.
        output_stride: of the backbone, 8 (the paper), 16 or 32 pixels.
        pretrained: ``"none"``, ``"imagenet"``, ``"coco"`` or a file of weights, see ``load_pretrained``.
        load: False where a checkpoint follows, or none is needed: nothing is read, but the variant of ``"coco"`` is
            built. That of a file is in the checkpoint.
        batch_norm: see ``apply_batch_norm_policy``.
        decoder_channels: deeplabv3plus: width of pyramid and V.
        separable: deeplabv3plus: depthwise-separable convolutions, cheap on a CPU, or plain ones.
        aspp: deeplabv2: ``"paper"``, four dilated branches, or ``"reference"``, the authors' code, two.

    Raises:
        UsageError: a name or number is not one of those above.
        SemisegError: the pretrained weights cannot be had or do not fit, or the library of the backbone is missing.
    """
    _check("network.architecture", architecture, ARCHITECTURES)
    if not backbone.startswith(TIMM):
        _check("network.backbone", backbone, [*BACKBONES, f"{TIMM}NAME"])
    _check("network.output_stride", output_stride, OUTPUT_STRIDES)
    _check("network.batch_norm", batch_norm, BATCH_NORM)
    _check("network.aspp", aspp, ASPP)
    name = backbone.removeprefix(TIMM)
    body = BACKBONES[backbone](output_stride) if name == backbone else TimmBackbone(name, output_stride)
    network = ARCHITECTURES[architecture](
        body, num_classes, output_stride, decoder_channels=decoder_channels, separable=separable, aspp=aspp
    )
    if load:
        load_pretrained(network, pretrained, backbone)
    elif pretrained == "coco":
        network.follow("caffe")
    apply_batch_norm_policy(network, batch_norm)
    return network


def upsample(logits: Tensor, size: Sequence[int]) -> Tensor:
    """logits (B, C, h, w) → (B, C, *size), bilinear with half-pixel centres (align_corners=False)."""
    return F.interpolate(logits, size=list(size), mode="bilinear", align_corners=False)


def _check(key: str, value: object, valid: Iterable[object]) -> None:
    if value in (known := list(valid)):
        return
    names, wanted = [str(name) for name in known], str(value).lower().replace("+", "plus")
    near = [name for name in names if name.startswith(wanted)]
    near = near or difflib.get_close_matches(wanted, names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"{key}={value} is not known; choose one of {', '.join(names)}{hint}")
