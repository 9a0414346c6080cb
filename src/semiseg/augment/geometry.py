"""The geometric part of Table 1: flip and resize, of images together with the labels and confidence of their pixels.

A batch is a list of tensors: first images (B, C, H, W), floating in [0, 1]; then maps (B, H, W) of any dtype. Which
images are touched is given by index on the CPU, so that nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def mirror(tensors: Sequence[Tensor], chosen: Tensor) -> list[Tensor]:
    """The batch with the images of the indices ``chosen``, (n,) int64, flipped from left to right."""
    if not len(chosen):
        return list(tensors)
    index = move(chosen, tensors[0])
    return [tensor.index_copy(0, index, tensor[index].flip(-1)) for tensor in tensors]


def rescale(
    tensors: Sequence[Tensor],
    chosen: Tensor,
    scale: Tensor,
    offset_y: Tensor,
    offset_x: Tensor,
    flip: Tensor,
    outside: Sequence[float],
) -> list[Tensor]:
    """The batch with some images resized about a random point and cut or padded to their size.

    Images are interpolated bilinearly; maps take the nearest pixel, so that values stay exact.

    Args:
        tensors: images and maps.
        chosen: (n,) int64, the indices of the images to resize; the next four are of these.
        scale: (n,) factors.
        offset_y, offset_x: (n,) in [0, 1]; see :func:`source_coordinates`.
        flip: (n,) bool, whether to flip from left to right as well.
        outside: for each tensor, its value where a reduced image leaves a border.

    Returns:
        A new list; images that are not chosen are bit-exact.
    """
    if not len(chosen):
        return list(tensors)
    images, *maps = tensors
    index, (height, width) = move(chosen, images), images.shape[2:]
    y, x = source_coordinates(height, scale, offset_y), source_coordinates(width, scale, offset_x)
    x = torch.where(flip[:, None], width - x, x)
    inside_y, inside_x = (y >= 0) & (y < height), (x >= 0) & (x < width)
    beyond = ~(move(inside_y, images)[:, :, None] & move(inside_x, images)[:, None, :])

    grid_y, grid_x = (move_as(2 * at / size - 1, images) for at, size in ((y, height), (x, width)))
    size = (len(chosen), height, width)
    grid = torch.stack([grid_x[:, None, :].expand(size), grid_y[:, :, None].expand(size)], dim=-1)
    resized = F.grid_sample(images[index], grid, padding_mode="border", align_corners=False).clamp_(0, 1)
    results = [images.index_copy(0, index, resized.masked_fill_(beyond[:, None], outside[0]))]

    # Nearest neighbour by index: exact for every dtype, and the same pixel for label and confidence.
    rows = move(y.floor().long().clamp_(0, height - 1), images)[:, :, None]
    columns = move(x.floor().long().clamp_(0, width - 1), images)[:, None, :]
    for values, padding in zip(maps, outside[1:], strict=True):
        moved = values[index[:, None, None], rows, columns].masked_fill_(beyond, padding)
        results.append(values.index_copy(0, index, moved))
    return results


def source_coordinates(size: int, scale: Tensor, offset: Tensor) -> Tensor:
    """Where each output pixel's centre lies in the source, along one axis.

    An axis of ``size`` pixels scaled by s is s·size long and starts at offset·(size - s·size): anywhere in
    the output when it shrank, and so that it covers the output when it grew.

    Args:
        size: pixels.
        scale: (n,) s.
        offset: (n,) in [0, 1].

    Returns:
        (n, size) float64, pixel i of the source covering [i, i + 1); outside [0, size) there is no source.
    """
    scale, offset = scale.double()[:, None], offset.double()[:, None]
    centres = torch.arange(size, dtype=torch.float64) + 0.5
    return (centres - offset * (size - scale * size)) / scale


def move(values: Tensor, images: Tensor) -> Tensor:
    """``values`` from the host to the images' device, without waiting for it."""
    return values.to(images.device, non_blocking=True)


def move_as(values: Tensor, images: Tensor) -> Tensor:
    """:func:`move`, in the images' dtype."""
    return move(values.to(images.dtype), images)
