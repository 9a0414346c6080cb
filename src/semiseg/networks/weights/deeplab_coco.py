"""The COCO weights of Table 2: DeepLabv2 on ResNet-101 as Hung et al. (2018) publish it, converted from Caffe.

The file holds 528 tensors: 520 of the body, which torchvision names alike, and 8 of the classifier, a sum of four
dilated convolutions. Its network is Caffe's variant (see ``ResNet``). A file with these names is taken for that
variant wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

ADDRESS = "http://vllab1.ucmerced.edu/~whung/adv-semi-seg/resnet101COCO-41f33a49.pth"
BACKBONE = "resnet101"  # the only one published

CLASSIFIER = "layer5.conv2d_list."
RENAMED = {
    "conv1.": "backbone.conv1.",
    "bn1.": "backbone.bn1.",
    "layer1.": "backbone.layer1.",
    "layer2.": "backbone.layer2.",
    "layer3.": "backbone.layer3.",
    "layer4.": "backbone.layer4.",
    CLASSIFIER: "classifier.branches.",
}


def recognised(names: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is in this naming."""
    return any(name.startswith(CLASSIFIER) for name in names)


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under the names of ``SegmentationNetwork``; names that no row covers stay as they are."""
    rows = list(RENAMED.items())
    return {
        next((ours + name.removeprefix(theirs) for theirs, ours in rows if name.startswith(theirs)), name): tensor
        for name, tensor in state.items()
    }


def divided(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A state dict in this naming as two: of ``SegmentationNetwork.backbone`` and of its ``classifier``."""
    ours = renamed(state)
    classifier = {name: tensor for name, tensor in ours.items() if name.startswith("classifier.")}
    body = {name.removeprefix("backbone."): tensor for name, tensor in ours.items() if name not in classifier}
    return body, {name.removeprefix("classifier."): tensor for name, tensor in classifier.items()}
