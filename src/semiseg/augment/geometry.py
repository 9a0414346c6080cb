"""The geometric part of Table 1: flip and resize, of images together with the labels and confidence of their pixels.

A batch is a list of tensors: first images (B, C, H, W), floating in [0, 1]; then maps (B, H, W) of any dtype. Which
images are touched is given by index on the CPU, so that nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Context:
    """The crops of a batch with more of their images around them, for views that show more than the crop.

    No tuple, since data-parallel training moves the tensors of tuples to the GPU: positions belong on the CPU.

    Attributes:
        tensors: images (B, C, H', W') and maps (B, H', W') like those of the batch, H' and W' at least the crop's.
        first: (B, 2) int64 on the CPU, row and column of each crop's first pixel.
        extent: (B, 2) int64 on the CPU, how many rows and columns show an image; what follows is padding.
    """

    tensors: list[Tensor]
    first: Tensor
    extent: Tensor


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
    context: Context | None = None,
) -> list[Tensor]:
    """The batch with some images resized about a random point and cut to their size.

    A reduced image is filled up from its context; without one, and where the context ends, it is padded. Images are
    interpolated bilinearly; maps take the nearest pixel, so that values stay exact.

    Args:
        tensors: images and maps.
        chosen: (n,) int64, the indices of the images to resize; the next four are of these.
        scale: (n,) factors.
        offset_y, offset_x: (n,) in [0, 1]; see :func:`source_coordinates`.
        flip: (n,) bool, whether to flip from left to right as well.
        outside: for each tensor, its value where a reduced image leaves a border.
        context: of the same images, where crops have any.

    Returns:
        A new list; images that are not chosen are bit-exact.
    """
    if not len(chosen):
        return list(tensors)
    crop = tensors[0].shape[2:]
    if context is None:
        whole = torch.tensor(crop).expand(len(tensors[0]), 2)
        context = Context(list(tensors), torch.zeros_like(whole), whole)
    images, *maps = context.tensors
    index, size = move(chosen, images), images.shape[2:]
    (top, left), (rows, columns) = context.first[chosen].unbind(1), context.extent[chosen].unbind(1)
    y = source_coordinates(crop[0], scale, offset_y, top, rows)
    # Seen from the other end, a flipped image is like any other.
    x = source_coordinates(crop[1], scale, offset_x, torch.where(flip, columns - crop[1] - left, left), columns)
    x = torch.where(flip[:, None], columns[:, None] - x, x)
    inside_y, inside_x = ((at >= 0) & (at < end[:, None]) for at, end in ((y, rows), (x, columns)))
    beyond = ~(move(inside_y, images)[:, :, None] & move(inside_x, images)[:, None, :])

    grid_y, grid_x = (
        move_as(2 * _up_to(at, end, side) / side - 1, images)
        for at, end, side in ((y, rows, size[0]), (x, columns, size[1]))
    )
    shape = (len(chosen), *crop)
    grid = torch.stack([grid_x[:, None, :].expand(shape), grid_y[:, :, None].expand(shape)], dim=-1)
    resized = F.grid_sample(images[index], grid, padding_mode="border", align_corners=False).clamp_(0, 1)
    results = [tensors[0].index_copy(0, index, resized.masked_fill_(beyond[:, None], outside[0]))]

    # Nearest neighbour by index: exact for every dtype, and the same pixel for label and confidence.
    row = move(y.floor().long().clamp_(0, size[0] - 1), images)[:, :, None]
    column = move(x.floor().long().clamp_(0, size[1] - 1), images)[:, None, :]
    for crops, values, padding in zip(tensors[1:], maps, outside[1:], strict=True):
        moved = values[index[:, None, None], row, column].masked_fill_(beyond, padding)
        results.append(crops.index_copy(0, index, moved))
    return results


def source_coordinates(size: int, scale: Tensor, offset: Tensor, first: Tensor, extent: Tensor) -> Tensor:
    """Where each output pixel's centre lies in the source, along one axis.

    A crop of ``size`` pixels scaled by s is s·size long and starts at offset·(size - s·size) of the output: anywhere in
    it when it shrank, and so that it covers the output when it grew. What it leaves free shows the source around it,
    which may move the start: the output shows nothing beyond the source's ends, or all of the source.

    Args:
        size: pixels.
        scale: (n,) s.
        offset: (n,) in [0, 1].
        first: (n,) pixel of the source at which the crop begins.
        extent: (n,) pixels that the source has; a crop that is all there is has first = 0 and extent = size.

    Returns:
        (n, size) float64, pixel i of the source covering [i, i + 1); outside [0, extent) there is no source.
    """
    scale, offset, first, extent = (values.double()[:, None] for values in (scale, offset, first, extent))
    # Where the source begins in the output: crop's first pixel on the first, or last on the last.
    ends = size - scale * extent
    bounds = ends.clamp_max(0), ends.clamp_min(0)
    early, late = (begin.clamp(*bounds) for begin in (-scale * first, size - scale * (first + size)))
    centres = torch.arange(size, dtype=torch.float64) + 0.5
    return (centres - (early + offset * (late - early))) / scale


def _up_to(at: Tensor, extent: Tensor, size: int) -> Tensor:
    """Coordinates (n, ·) short of the padding that follows ``extent`` (n,) in a source of ``size`` pixels: an image's
    edge is repeated, not blended with padding."""
    last = torch.where(extent < size, extent - 0.5, torch.inf)
    return at.minimum(last[:, None])


def move(values: Tensor, images: Tensor) -> Tensor:
    """``values`` from the host to the images' device, without waiting for it."""
    return values.to(images.device, non_blocking=True)


def move_as(values: Tensor, images: Tensor) -> Tensor:
    """:func:`move`, in the images' dtype."""
    return move(values.to(images.dtype), images)
