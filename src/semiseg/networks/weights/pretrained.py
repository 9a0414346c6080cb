"""``network.pretrained``: weights that others publish, or a file of one's own, brought into a network."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from semiseg.errors import UsageError
from semiseg.networks.weights import deeplab_coco
from semiseg.networks.weights.files import read

if TYPE_CHECKING:
    from semiseg.networks.segmentation import SegmentationNetwork

log = logging.getLogger(__name__)

COLLECTIONS = ("imagenet", "coco")


def load_pretrained(network: SegmentationNetwork, pretrained: str | Path, backbone: str) -> None:
    """Fills the backbone of ``network``, in place: all of its tensors, with all of the file's.

    The network becomes the variant that the weights were trained in (see ``ResNet``). A DeepLab file brings a
    classifier too: it is taken where the network has one of its shape, else set aside, which is logged.

    Args:
        network: the network whose backbone is filled.
        pretrained: ``"none"`` (left at random), ``"imagenet"`` (published weights: ResNets are downloaded
            once, into torch.hub's folder; EfficientNet-Lite0 comes with a pip package; timm's and DINOv2's own
            weights by their libraries), ``"coco"`` (DeepLabv2's, for resnet101) or a file: a state dict, bare or under
            ``"state_dict"``, its names with or without ``module.`` in front, saved by PyTorch or as safetensors.
        backbone: name of the backbone, as in ``network.backbone``.

    Raises:
        UsageError: ``pretrained`` is neither a word above nor a file.
        SemisegError: no download, no package, an unreadable file, or tensors that do not fit.
    """
    if pretrained == "none":
        return
    published = pretrained in COLLECTIONS
    if not published and not Path(pretrained).is_file():
        raise UsageError(
            f"network.pretrained={pretrained} is not a file; give 'imagenet', 'coco', 'none' or a file of weights"
        )
    if pretrained == "coco" and backbone != deeplab_coco.BACKBONE:
        raise UsageError(
            f"network.pretrained=coco is published for {deeplab_coco.BACKBONE} alone, not for {backbone}; "
            f"set network.backbone={deeplab_coco.BACKBONE} or network.pretrained=imagenet"
        )
    body = network.backbone
    if published:
        classifier = body.load_published(str(pretrained))
    else:
        classifier = body.load_state(read(Path(pretrained)), str(pretrained))
    network.follow(body.variant)
    _fill_classifier(network, classifier, str(pretrained))


def _fill_classifier(network: SegmentationNetwork, given: Mapping[str, Tensor], source: str) -> None:
    """Fills the network's classifier where the given tensors cover it whole, and logs what is set aside."""
    expected = network.classifier.state_dict()
    taken = {
        name: tensor for name, tensor in given.items() if name in expected and expected[name].shape == tensor.shape
    }
    if taken.keys() == expected.keys():
        network.classifier.load_state_dict(taken)
    else:
        taken = {}
    if aside := sorted(given.keys() - taken.keys()):
        classes = next(len(tensor) for tensor in given.values())
        log.warning(
            "%s: %d of %d tensors of its classifier (%d classes) are set aside; that of the network (%d classes) %s",
            *(source, len(aside), len(given), classes, network.num_classes),
            "takes the others" if taken else "starts at random",
        )
