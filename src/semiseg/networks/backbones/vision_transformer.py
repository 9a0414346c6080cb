"""What vision transformers of Hugging Face's transformers share: the grid of patches, four maps, and their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.errors import SemisegError
from semiseg.networks.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone, first_convolution
from semiseg.runtime.extras import first_line, require

EXTRA = "dinov2"  # of this package, which brings transformers
TAPS = 4  # maps, after as many equal parts of the blocks but where DEEP says otherwise
DEEP = {24: (5, 12, 18, 24)}  # by blocks: DPT-Large (Ranftl et al. 2021), and UniMatch V2 after it


class Size(NamedTuple):
    """Width, blocks and attention heads of a vision transformer, and the repository of its weights on the hub."""

    width: int
    depth: int
    heads: int
    repository: str

    @property
    def taps(self) -> tuple[int, ...]:
        """The blocks after which there is a map, counted from 1."""
        return DEEP.get(self.depth) or tuple(self.depth * part // TAPS for part in range(1, TAPS + 1))


class VisionTransformer(Backbone):
    """Patch features of a vision transformer, behind the interface of the convolutional backbones.

    The image is resized so that its patches lie on the grid of ``output_stride``: no feature is resampled and a smaller
    stride truly sees more, at a cost that grows with the square of the number of patches. Or it keeps its own grid
    (:meth:`use_own_grid`): each side is resized to the nearest multiple of a patch. The maps are those after each
    quarter of the blocks (of 12: after the 3rd, 6th, 9th and 12th), through the final norm and without the tokens that
    are no patches, all at one stride: a transformer has no finer ones.

    Args:
        name: as in ``network.backbone``.
        size: of the transformer.
        output_stride: 8, 16 or 32 pixels a feature.

    Raises:
        SemisegError: transformers is not installed.
    """

    mean, std = IMAGENET_MEAN, IMAGENET_STD
    patch: ClassVar[int]

    def __init__(self, name: str, size: Size, output_stride: int) -> None:
        super().__init__()
        self.name, self.repository, self.own_grid = name, size.repository, False
        self.config, self.net = self.build(require("transformers", EXTRA, f"network.backbone={name}"), size)
        # It stands for hidden patches when such a network is trained; no image here has any: it would get no gradient.
        self.net.get_parameter("embeddings.mask_token").requires_grad_(False)
        self.channels, self.strides = (size.width,) * TAPS, (output_stride,) * TAPS

    @staticmethod
    def build(transformers: Any, size: Size) -> tuple[Any, nn.Module]:
        """The library's configuration of that size, and its network with random weights."""
        raise NotImplementedError

    def use_own_grid(self) -> None:
        """Maps at the stride of the patches, which published weights and heads are for."""
        self.own_grid, self.strides = True, (self.patch,) * TAPS

    def widen(self, channels: int) -> None:
        """As :meth:`Backbone.widen`, of the patches' projection; the library compares images with a number it keeps."""
        super().widen(channels)
        for module in self.net.modules():
            if hasattr(module, "num_channels"):
                module.__dict__["num_channels"] = channels

    def forward(self, x: Tensor) -> list[Tensor]:
        """x (B, 3, H, W), normalised → four maps (B, width, ⌈H/s⌉, ⌈W/s⌉), s the output stride.

        On its own grid s is the patch and sides are rounded, halves up, to one patch at least.
        """
        stride = self.strides[0]
        # Not -(-a // b): in ONNX division cuts towards zero, which would round down.
        rounding = stride // 2 if self.own_grid else stride - 1
        patches = [(side + rounding) // stride for side in x.shape[-2:]]
        grid = [self.patch * torch.sym_max(count, 1) for count in patches]  # type: ignore[no-untyped-call]
        x = F.interpolate(x, size=grid, mode="bilinear", align_corners=False)
        return list(self.net(x).feature_maps)

    def stem_parameters(self) -> list[nn.Parameter]:
        """Those of the patch embedding's convolution, which has no norm."""
        return first_convolution(self.net.get_submodule("embeddings"))

    def load_published(self, collection: str) -> dict[str, Tensor]:
        """Meta's weights from the Hugging Face hub."""
        if collection != "imagenet":
            return super().load_published(collection)
        self._fill(None)
        return {}

    def load_state(self, state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
        """Tensors in Hugging Face's names, of this release of transformers or of an older one."""
        self._fill(state)
        return {}

    def _fill(self, state: Mapping[str, Tensor] | None) -> None:
        try:
            # transformers renames what older releases of it have written; hence a second network.
            filled, found = type(self.net).from_pretrained(  # type: ignore[attr-defined]
                self.repository if state is None else None,
                config=self.config,
                state_dict=None if state is None else dict(state),
                output_loading_info=True,
            )
        except Exception as error:  # of huggingface_hub, httpx, safetensors or transformers
            what = f"get {self.repository}" if state is None else "load the file"
            raise SemisegError(
                f"network.backbone={self.name}: transformers cannot {what} ({first_line(error)}); {self.remedy()}"
            ) from error
        wrong = [str(name) for kind in ("missing", "unexpected", "mismatched") for name in found[f"{kind}_keys"]]
        if wrong:
            raise SemisegError(
                f"the weights do not fit {self.name}: {len(wrong)} tensors missing, unexpected or of wrong shape "
                f"({', '.join(sorted(wrong)[:3])}, …); give a file of this size in Hugging Face's names"
            )
        self.net.load_state_dict(filled.state_dict())

    def remedy(self) -> str:
        """What the user can do where the library gets no weights."""
        return "download it by hand and give network.pretrained=FILE"
