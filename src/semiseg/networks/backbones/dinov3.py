"""DINOv3 vision transformers (Siméoni et al. 2025) by Hugging Face's transformers: ``network.backbone=dinov3:base``."""

from __future__ import annotations

import logging
from typing import Any

from torch import Tensor, nn

from semiseg.networks.backbones.vision_transformer import EXTRA, Size, VisionTransformer
from semiseg.runtime.extras import require

log = logging.getLogger(__name__)

PREFIX = "dinov3:"
REGISTERS = 4  # tokens that are no patches, beside the class token
FILE = "model.safetensors"  # of a repository

SIZES = {
    "small": Size(384, 12, 6, "facebook/dinov3-vits16-pretrain-lvd1689m"),
    "base": Size(768, 12, 12, "facebook/dinov3-vitb16-pretrain-lvd1689m"),
    "large": Size(1024, 24, 16, "facebook/dinov3-vitl16-pretrain-lvd1689m"),
}


class Dinov3(VisionTransformer):
    """A DINOv3 of patches of 16 pixels, see :class:`VisionTransformer`; ``size`` is a key of ``SIZES``.

    Its positions are rotations, for grids of any size. Those that the library scales at random in training stay as they
    are: such draws would be no step's own. The weights are under a licence of Meta's and behind a gate: its terms are
    accepted on the page of the repository.
    """

    patch = 16

    def __init__(self, size: str, output_stride: int) -> None:
        super().__init__(PREFIX + size, SIZES[size], output_stride)

    @staticmethod
    def build(transformers: Any, size: Size) -> tuple[Any, nn.Module]:
        """``DINOv3ViTBackbone``."""
        config = transformers.DINOv3ViTConfig(
            hidden_size=size.width,
            intermediate_size=4 * size.width,
            num_hidden_layers=size.depth,
            num_attention_heads=size.heads,
            patch_size=Dinov3.patch,
            num_register_tokens=REGISTERS,
            pos_embed_rescale=None,
            out_indices=list(size.taps),
        )
        return config, transformers.DINOv3ViTBackbone(config)

    def published_at_hand(self, collection: str) -> bool:
        """Whether the file is in the hub's cache."""
        hub = require("huggingface_hub", EXTRA, f"network.backbone={self.name}")
        return collection == "imagenet" and isinstance(hub.try_to_load_from_cache(self.repository, FILE), str)

    def load_published(self, collection: str) -> dict[str, Tensor]:
        """Meta's weights from the Hugging Face hub; a download says whose licence they are under."""
        if collection == "imagenet" and not self.published_at_hand(collection):
            log.warning(
                "the weights of %s are under their owner's licence, Meta's DINOv3 License, not under this package's; "
                "read it before you use or pass on what is trained from them: https://huggingface.co/%s",
                self.name,
                self.repository,
            )
        return super().load_published(collection)

    def remedy(self) -> str:
        """The gate first."""
        page = f"https://huggingface.co/{self.repository}"
        return f"accept the licence on {page} and run hf auth login, or download it and give network.pretrained=FILE"
