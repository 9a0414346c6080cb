"""torchvision beside a CPU build of PyTorch: its compiled operators do not load there, and it cannot be imported.

timm and segmentation_models.pytorch import it but call none of them on our way. With the two schemas that its Python
files refer to, it imports; calling one of them fails.
"""

import importlib.metadata

import torch

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_kept: list[torch.library.Library] = []  # schemas go when their library does


def complete() -> None:
    """Define what is missing, where torchvision is installed for another build; before anything imports it."""
    try:
        fits = "+cpu" not in torch.__version__ or "+cpu" in importlib.metadata.version("torchvision")
    except importlib.metadata.PackageNotFoundError:
        return
    if not fits and not _kept:
        _kept.append(torch.library.Library("torchvision", "DEF"))
        for schema in SCHEMAS:
            _kept[0].define(schema)
