"""What the BatchNorm layers of the backbone do while training.

The head and decoder start at random, so their layers always train in the ordinary way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from semiseg.networks.segmentation import SegmentationNetwork

Policy = Literal["train", "frozen", "frozen_affine"]


def apply_batch_norm_policy(network: SegmentationNetwork, policy: Policy) -> None:
    """Sets how the backbone of ``network`` normalises, in place; later calls of ``network.train()`` keep it.

    Args:
        network: a segmentation network.
        policy: ``"train"``, batch statistics in training and running ones in evaluation; ``"frozen"``,
            running statistics at all times, neither they nor the affine parameters change (for batches too
            small for statistics); ``"frozen_affine"``, as ``"train"`` with affine parameters that never learn
            (the authors' code). To go back from a frozen policy to ``"train"`` build the network anew.
    """
    network.batch_norm = policy
    if policy == "train":
        return
    for module in network.backbone.modules():
        if isinstance(module, _BatchNorm):
            module.requires_grad_(False)
            if policy == "frozen":
                module.eval()
