"""Mixing images of a batch: ClassMix (Olsson et al., WACV 2021) and CutMix (French et al., BMVC 2020).

A mask belongs to the image that *gives*: ``masks[b]`` says which pixels of image b go onto the next one.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from semiseg.errors import UsageError


def classmix_masks(
    labels: Tensor,
    num_classes: int,
    generator: torch.Generator,
    probability: float = 1.0,
    rule: Literal["half", "reference"] = "half",
    exclude: int | None = None,
    ignore_index: int = 255,
) -> Tensor:
    """Pixels of a random half of the classes that each image shows (ClassMix, Olsson et al., 2021).

    Of the n classes present in an image, ``"half"`` chooses ceil(n / 2), and ``"reference"`` (the code of
    Alonso et al.) min(n, floor(n / 2) + 1). All draws are made on the CPU; nothing waits for the device.

    Args:
        labels: (B, H, W) integers in [0, num_classes), or ``ignore_index``.
        num_classes: C.
        generator: CPU generator.
        probability: chance of each image to be drawn; the mask of the others is False throughout.
        rule: how many classes to choose.
        exclude: a class neither counted nor chosen, such as VOC's background in the code of Alonso et al.
        ignore_index: label that is no class: never chosen.

    Returns:
        (B, H, W) bool on the labels' device.

    Raises:
        UsageError: for an unknown rule, or a probability or class out of range.
    """
    _check_probability("classmix", probability)
    if rule not in ("half", "reference"):
        raise UsageError(f"classmix: rule is {rule!r}; choose 'half' or 'reference'")
    if exclude is not None and not 0 <= exclude < num_classes:
        raise UsageError(f"classmix: exclude is {exclude}; give a class from 0 to {num_classes - 1}, or None")
    batch = len(labels)
    order = torch.rand(batch, num_classes, generator=generator).to(labels.device, non_blocking=True)
    drawn = (torch.rand(batch, generator=generator) < probability).to(labels.device, non_blocking=True)

    nothing = labels == ignore_index
    if exclude is not None:
        nothing = nothing | (labels == exclude)
    classes = labels.long().masked_fill(nothing, num_classes).flatten(1)  # the extra class C is never chosen
    present = torch.zeros(batch, num_classes + 1, dtype=torch.bool, device=labels.device)
    present = present.scatter_(1, classes, True)[:, :num_classes]

    count = present.sum(1)
    wanted = (count + 1) // 2 if rule == "half" else torch.minimum(count // 2 + 1, count)
    # Rank of each class in a random order that has the present classes first.
    rank = order.masked_fill(~present, 2.0).argsort(dim=1).argsort(dim=1)
    chosen = (rank < wanted[:, None]) & drawn[:, None]
    chosen = torch.cat([chosen, torch.zeros_like(chosen[:, :1])], dim=1)
    return chosen.gather(1, classes).view(labels.shape)


def cutmix_masks(
    batch: int,
    height: int,
    width: int,
    generator: torch.Generator,
    area: float | tuple[float, float] | Tensor = 0.5,
    probability: float = 1.0,
    aspect: tuple[float, float] | None = None,
) -> Tensor:
    """One rectangle an image, of given area, random aspect ratio and random position (French et al., 2020).

    The height is H·area^u, u uniform in [0, 1] (log-uniform between area·H and H); the width makes up the
    area, so that it is log-uniform between area·W and W and every rectangle fits. Sides are whole pixels: the
    area is right to half a pixel of width. The position is uniform among those inside the image.

    Args:
        batch, height, width: B, H, W.
        generator: CPU generator.
        area: share of the image in (0, 1]; or the ends of the range that each image's is drawn from, uniformly; or
            (B,) floats on the CPU, one an image.
        probability: chance of each image to be drawn; the mask of the others is False throughout.
        aspect: the ends of the range that height / width of a square image's rectangle is drawn from, uniformly,
            instead (Yang et al., 2023); one that does not fit becomes the nearest that does.

    Returns:
        (B, H, W) bool on the CPU.

    Raises:
        UsageError: for an area, aspect or probability out of range.
    """
    _check_probability("cutmix", probability)
    if isinstance(area, Tensor):
        low, high = float(area.min()), float(area.max())
    else:
        low, high = area if isinstance(area, tuple) else (area, area)
    if not (0 < high <= 1 and 0 <= low <= high):
        raise UsageError(f"cutmix: area is {area}; set it above 0 and at most 1, a range from its lower end")
    if aspect is not None and not 0 < aspect[0] <= aspect[1]:
        raise UsageError(f"cutmix: aspect is {aspect}; set 0 < low <= high")
    shape, top, left, drawn = torch.rand(4, batch, 1, 1, generator=generator, dtype=torch.float64)
    share = area.view(batch, 1, 1).to(shape) if isinstance(area, Tensor) else torch.full_like(shape, low)
    if isinstance(area, tuple) and high > low:
        share += (high - low) * torch.rand(batch, 1, 1, generator=generator, dtype=torch.float64)
    if aspect is None:
        rows = height * share**shape
    else:
        rows = height * (share * (aspect[0] + (aspect[1] - aspect[0]) * shape)).sqrt()
    shortest = (share * height).ceil().clamp_min(1)  # any less, and the width would not fit
    rows = rows.round().clamp(shortest, torch.full_like(shortest, height))
    columns = (share * height * width / rows).round().clamp(1, width)
    top = (top * (height - rows + 1)).floor()
    left = (left * (width - columns + 1)).floor()
    y, x = torch.arange(height)[:, None], torch.arange(width)
    return (y >= top) & (y < top + rows) & (x >= left) & (x < left + columns) & (drawn < probability)


def paste(masks: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Paste the masked pixels of image b - 1 onto image b, for all tensors alike (the last gives to image 0).

    Whether image b receives anything is governed by the giver's mask: where ``masks[b - 1]`` is False
    throughout, image b stays as it is. A batch of one is its own giver, so nothing changes.

    Args:
        masks: (B, H, W) bool: what each image gives.
        tensors: (B, H, W) or (B, C, H, W), any dtype, on the masks' device.

    Returns:
        New tensors, with the shapes and dtypes of ``tensors``.

    Raises:
        UsageError: when a tensor's shape does not belong to the masks'.
    """
    given = masks.roll(1, 0)
    mixed = []
    for tensor in tensors:
        if tensor.ndim not in (3, 4) or (len(tensor), *tensor.shape[-2:]) != tuple(masks.shape):
            raise UsageError(
                f"paste: a tensor of shape {tuple(tensor.shape)} for masks of shape {tuple(masks.shape)}; "
                "give (B, H, W) or (B, C, H, W) with the masks' B, H, W"
            )
        where = given if tensor.ndim == 3 else given[:, None]
        mixed.append(torch.where(where, tensor.roll(1, 0), tensor))
    return tuple(mixed)


def _check_probability(name: str, probability: float) -> None:
    if not 0 <= probability <= 1:
        raise UsageError(f"{name}: probability is {probability}; set it between 0 and 1")
