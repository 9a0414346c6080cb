"""``network.*``: architecture, backbone and its weights."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from semiseg.config.section import Section


class NetworkConfig(Section):
    architecture: str = "deeplabv2"
    """deeplabv2 or deeplabv3plus (section 4.2), or dpt (Ranftl et al., ICCV 2021), made for transformers."""
    backbone: str = "resnet101"
    """resnet18/34/50/101, efficientnet_lite0, timm:NAME, dinov2:small|base|large or
    dinov3:small|base|large, or one that an installed package brings; the paper: resnet101 (v2), resnet50
    (v3+)."""
    pretrained: str = "imagenet"
    """none, imagenet, coco (DeepLabv2-ResNet-101) or a file with weights (Table 2: ImageNet or COCO)."""
    warm_start: str | None = None
    """A run folder or checkpoint whose student's weights the run begins with, instead of network.pretrained: backbone,
    decoder, and the classifier's rows of classes of the same name. Set by semiseg train --from; the structure of the
    network comes from there too."""
    output_stride: Literal[8, 16] = 8
    """Input pixels per feature of the backbone (section 4.2: 8). Under dpt a transformer keeps its own: its patches."""
    batch_norm: Literal["train", "frozen", "frozen_affine"] = "train"
    """Backbone's BatchNorm: ordinary; all of it frozen; or batch statistics with fixed affine parameters
    (authors' code)."""
    freeze_backbone: bool = False
    """The backbone stays as it is loaded, BatchNorm's statistics too, and decoder and classifier learn alone: cheaper.
    With a small transformer and few labels better on photos of objects, and worse on street scenes (UniMatch V2's
    published logs)."""
    decoder_channels: Annotated[int, Field(ge=1, le=2**16)] = 256
    """Width of the DeepLabv3+ decoder (DeepLabv3+ paper: 256) or of DPT (UniMatch V2, public code: 64, 128, 256 for
    dinov2:small, base, large)."""
    decoder_norm: Literal["batch", "group"] = "batch"
    """What the DeepLabv3+ decoder normalises with: BatchNorm (DeepLabv3+ paper), or GroupNorm of 16 channels a group
    (Wu and He, ECCV 2018), each image by itself whatever the batch. DeepLabv2 and DPT have no such layers."""
    aspp: Literal["paper", "reference"] = "paper"
    """DeepLabv2 classifier: four summed dilated branches, or the first two as in the authors' code."""

    READ_WITH = {
        "aspp": ("architecture", ("deeplabv2",)),
        "decoder_channels": ("architecture", ("deeplabv3plus", "dpt")),
        "decoder_norm": ("architecture", ("deeplabv3plus",)),
    }
