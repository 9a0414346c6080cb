"""What the contrastive module computes and keeps in a step, on the meta device (section 4.4, "Losses impact")."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.contrastive.maps import rows
from semiseg.contrastive.module import ContrastiveModule
from semiseg.losses import class_means, similar_keys
from semiseg.networks import Output
from semiseg.runtime.flops import count_flops


def contrastive_flops(contrast: ContrastiveModule, output: Output, size: tuple[int, int]) -> dict[str, int]:
    """Heads, attention and distances of one labelled and one unlabelled image, with a full bank.

    Args:
        contrast: on the meta device.
        output: a network's output for one image, on the meta device.
        size: (height, width) of that image in pixels.
    """
    v = rows(contrast.at_stride(output.features, size[0])).repeat(2, 1)
    p, z = len(v), contrast.bank.num_classes * contrast.bank.size
    heads = count_flops(lambda: contrast.prediction(contrast.projection(v)))
    teacher = count_flops(lambda: contrast.teacher_projection(v[: len(v) // 2]))
    # Each row passes the network of its class: two layers, D×D and D×1. Blocks padded to one size would count more.
    per_row = 2 * (contrast.config.dim**2 + contrast.config.dim)
    weighed = p if contrast.config.negatives else p + z
    attention = per_row * (weighed + p // 2) if contrast.config.attention else 0
    # Eq. 11 factorised: a weighted sum over either side (a multiply-add a value), one product a class.
    distances = 2 * (p + z + contrast.num_classes) * contrast.config.dim
    if contrast.config.negatives:  # every pair, and the gradients of two sums that are kept in the place of the table
        distances = 3 * 2 * p * z * contrast.config.dim
    return {"heads": heads + teacher, "attention": attention, "distances": distances}


def contrastive_kept(contrast: ContrastiveModule, output: Output, size: tuple[int, int]) -> Tensor:
    """The loss on the student's output, as far as it keeps tensors for the backward pass."""
    v = rows(contrast.at_stride(output.features, size[0]))
    p = contrast.prediction(contrast.projection(v))
    loss, z = v.new_zeros(()), contrast.bank.slots.flatten(0, 1)
    weighed = [(p, contrast.attention_p)]
    if contrast.config.negatives:
        of_p, of_z = (torch.zeros(len(some), dtype=torch.int64, device="meta") for some in (p, z))
        loss = torch.stack(similar_keys(F.normalize(p), of_p, z, of_z, contrast.config.temperature)).sum()
    else:
        weighed.append((z, contrast.attention_z))
    for vectors, network in weighed:
        hidden = network.weight1[0] @ vectors.T  # a row passes the network of its class only
        scores = (network.weight2[0] @ F.leaky_relu(hidden)).sigmoid()
        flat = torch.zeros(len(vectors), dtype=torch.int64, device="meta")
        loss = loss + class_means(vectors, flat, scores, contrast.num_classes)[0].sum()
    return loss
