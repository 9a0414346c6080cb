"""DINOv2 vision transformers (Oquab et al. 2023) by Hugging Face's transformers: ``network.backbone=dinov2:small``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.errors import SemisegError
from semiseg.networks.backbones.resnet import IMAGENET_MEAN, IMAGENET_STD
from semiseg.runtime.extras import first_line, require

PREFIX = "dinov2:"
PATCH = 14
TRAINED_SIZE = 518  # pixels, the size that the published position embeddings are for


class Size(NamedTuple):
    """Width, blocks and attention heads of a vision transformer, and the repository of its weights on the hub."""

    width: int
    depth: int
    heads: int
    repository: str


SIZES = {
    "small": Size(384, 12, 6, "facebook/dinov2-small"),
    "base": Size(768, 12, 12, "facebook/dinov2-base"),
}


class Dinov2(nn.Module):
    """Patch features of a vision transformer, behind the interface of the convolutional backbones.

    The image is resized so that its patches of 14 pixels lie on the grid of ``output_stride``: no feature is resampled
    and a smaller stride truly sees more, at a cost that grows with the square of the number of patches. As a
    transformer has no finer features, those at stride 4 are those after a quarter of its blocks, made larger.

    Args:
        size: a key of ``SIZES``.
        output_stride: 8, 16 or 32 pixels a feature.

    Raises:
        SemisegError: transformers is not installed.
    """

    mean, std = IMAGENET_MEAN, IMAGENET_STD

    def __init__(self, size: str, output_stride: int) -> None:
        super().__init__()
        self.size, self.output_stride = size, output_stride
        transformers = require("transformers", "dinov2", f"network.backbone={PREFIX}{size}")
        row = SIZES[size]
        self.config: Any = transformers.Dinov2Config(
            hidden_size=row.width,
            num_hidden_layers=row.depth,
            num_attention_heads=row.heads,
            image_size=TRAINED_SIZE,
            patch_size=PATCH,
            out_indices=[row.depth // 4, row.depth],
        )
        self.net: nn.Module = transformers.Dinov2Backbone(self.config)
        # It stands for hidden patches when DINOv2 is trained; no image here has any, so it would get no gradient.
        self.net.get_parameter("embeddings.mask_token").requires_grad_(False)
        self.low_channels = self.channels = row.width

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, 3, H, W), normalised → low (B, width, H/4, W/4) and last (B, width, H/s, W/s).

        s is the output stride; sizes round up.
        """
        height, width = x.shape[-2:]
        # Not -(-a // b): in ONNX division cuts towards zero, which would round down.
        stride = self.output_stride
        grid = [PATCH * ((side + stride - 1) // stride) for side in (height, width)]
        x = F.interpolate(x, size=grid, mode="bilinear", align_corners=False)
        low, last = self.net(x).feature_maps
        quarter = [(side + 3) // 4 for side in (height, width)]
        return F.interpolate(low, size=quarter, mode="bilinear", align_corners=False), last

    def load_published(self, state: Mapping[str, Tensor] | None = None) -> None:
        """Fills the network, in place, with Meta's weights from the Hugging Face hub or with ``state``, in their names.

        Raises:
            SemisegError: the hub does not answer, or the weights do not fit.
        """
        source = PREFIX + self.size
        try:
            # transformers renames what older releases of it have written; hence a second network.
            filled, found = type(self.net).from_pretrained(  # type: ignore[attr-defined]
                SIZES[self.size].repository if state is None else None,
                config=self.config,
                state_dict=None if state is None else dict(state),
                output_loading_info=True,
            )
        except Exception as error:  # of huggingface_hub, httpx, safetensors or transformers
            what = f"get {SIZES[self.size].repository}" if state is None else "load the file"
            raise SemisegError(
                f"network.backbone={source}: transformers cannot {what} ({first_line(error)}); download it by hand "
                "and give network.pretrained=FILE"
            ) from error
        wrong = [str(name) for kind in ("missing", "unexpected", "mismatched") for name in found[f"{kind}_keys"]]
        if wrong:
            raise SemisegError(
                f"the weights do not fit {source}: {len(wrong)} tensors missing, unexpected or of wrong shape "
                f"({', '.join(sorted(wrong)[:3])}, …); give a file of this size in Hugging Face's names"
            )
        self.net.load_state_dict(filled.state_dict())
