"""DINOv2 vision transformers (Oquab et al. 2023) by Hugging Face's transformers: ``network.backbone=dinov2:small``."""

from __future__ import annotations

from typing import Any

from torch import nn

from semiseg.networks.backbones.vision_transformer import Size, VisionTransformer

PREFIX = "dinov2:"
TRAINED_SIZE = 518  # pixels, the size that the published position embeddings are for

SIZES = {
    "small": Size(384, 12, 6, "facebook/dinov2-small"),
    "base": Size(768, 12, 12, "facebook/dinov2-base"),
    "large": Size(1024, 24, 16, "facebook/dinov2-large"),
}


class Dinov2(VisionTransformer):
    """A DINOv2 of patches of 14 pixels, see :class:`VisionTransformer`; ``size`` is a key of ``SIZES``."""

    patch = 14

    def __init__(self, size: str, output_stride: int) -> None:
        super().__init__(PREFIX + size, SIZES[size], output_stride)

    @staticmethod
    def build(transformers: Any, size: Size) -> tuple[Any, nn.Module]:
        """``Dinov2Backbone``."""
        config = transformers.Dinov2Config(
            hidden_size=size.width,
            num_hidden_layers=size.depth,
            num_attention_heads=size.heads,
            image_size=TRAINED_SIZE,
            patch_size=Dinov2.patch,
            out_indices=list(size.taps),
        )
        return config, transformers.Dinov2Backbone(config)
