"""What the BatchNorm layers of the backbone do while training.

The head and decoder start at random, so their layers always train in the ordinary way.
"""

from __future__ import annotations

from typing import Literal, Protocol

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

Policy = Literal["train", "frozen", "frozen_affine"]


class HasBackbone(Protocol):
    """What a segmentation network is here: a backbone, and the policy that it keeps to."""

    batch_norm: Policy

    @property
    def backbone(self) -> nn.Module: ...


def apply_batch_norm_policy(network: HasBackbone, policy: Policy) -> None:
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
