"""Rectangles around what a class shows: CutMix that pastes a chosen class (AEL, Hu et al., NeurIPS 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from semiseg.augment.mixing import cutmix_masks


def class_box_masks(labels: Tensor, classes: Tensor, generator: torch.Generator, least: float = 0.005) -> Tensor:
    """The bounding box of a random connected part of one class in each image; half of the image's area where it has
    no part of that size.

    Args:
        labels: (B, H, W) int64.
        classes: (B,) int64: the class of each image.
        generator: CPU generator.
        least: share of the image's pixels that a part has at least.

    Returns:
        (B, H, W) bool on the labels' device, which is waited for.
    """
    batch, height, width = labels.shape
    numbers = connected_parts(labels == classes[:, None, None]).flatten(1)
    sizes = torch.bincount(numbers.flatten(), minlength=numbers.numel() + 1)
    # One pixel stands for its part, so that large and small parts have the same chance.
    places = torch.arange(1, numbers.numel() + 1, device=labels.device).view_as(numbers)
    eligible = (numbers == places) & (sizes[numbers] >= least * height * width)
    keys = torch.rand(batch, height * width, generator=generator).to(labels.device)
    chosen = keys.masked_fill(~eligible, -1.0).argmax(dim=1, keepdim=True)
    part = (numbers == numbers.gather(1, chosen)).view_as(labels)
    box = _between(part.any(dim=2))[:, :, None] & _between(part.any(dim=1))[:, None, :]
    elsewhere = cutmix_masks(batch, height, width, generator).to(labels.device)
    return torch.where(eligible.any(dim=1)[:, None, None], box, elsewhere)


def connected_parts(mask: Tensor) -> Tensor:
    """Numbers of the parts of a mask (B, H, W) bool that hang together by their sides, (B, H, W) int64.

    0 is outside; a part has the number that its last pixel has in the batch, from 1 on. Rows and columns take turns to
    carry the highest number along, until none changes.
    """
    numbers = torch.arange(1, mask.numel() + 1, device=mask.device).view_as(mask) * mask
    while True:
        before = numbers
        numbers = _along_rows(numbers, mask)
        numbers = _along_rows(numbers.mT, mask.mT).mT
        if torch.equal(numbers, before):
            return numbers


def _along_rows(numbers: Tensor, mask: Tensor) -> Tensor:
    """The highest number of each run within its row, at all its pixels."""
    starts = torch.ones_like(mask)
    starts[..., 1:] = mask[..., 1:] != mask[..., :-1]
    runs = starts.flatten().cumsum(0)
    highest = numbers.new_zeros(mask.numel() + 1).scatter_reduce(0, runs, numbers.flatten(), "amax")
    return highest[runs].view_as(mask)


def _between(occupied: Tensor) -> Tensor:
    """(B, N) bool: from the first to the last true one."""
    after = occupied.cummax(dim=1).values
    return after & occupied.flip(1).cummax(dim=1).values.flip(1)
