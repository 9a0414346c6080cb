"""Regions that correlation maps draw, and one pseudo-label for each (CorrMatch, Sun et al., CVPR 2024)."""

from __future__ import annotations

import torch
from torch import Tensor

from semiseg.runtime.precision import not_halved


def region_labels(
    correlation: Tensor,
    labels: Tensor,
    sure: Tensor,
    threshold: Tensor,
    size: tuple[int, int],
    classes: int,
    generator: torch.Generator,
    count: int = 128,
    ignore_index: int = 255,
) -> tuple[Tensor, Tensor]:
    """Pseudo-labels of whole regions that correlation maps draw (Sun et al.).

    ``count`` random rows of the correlation, each from 0 to 1, are regions where they are above 0.5. One that is sure
    on more than the threshold of its pixels, and of one class on more than that, is of this class altogether; of
    several, a pixel takes the region whose class has the largest share.

    Args:
        correlation: (B, N, N), N = h·w.
        labels: (B, H, W) int64, or ``ignore_index`` on padding, which belongs to no region.
        sure: (B, H, W) float: 1 where the label counts, else 0.
        threshold: scalar.
        size: (h, w).
        classes: C.
        generator: CPU generator of the rows.
        count: rows; all of them where there are fewer.
        ignore_index: label of padding.

    Returns:
        labels (B, H, W) with the regions' classes, and (B, H, W) bool: where one was given.
    """
    batch, shown = len(labels), labels != ignore_index
    rows = torch.rand(batch, correlation.shape[1], generator=generator).argsort(dim=1)[:, :count].to(labels.device)
    drawn = correlation.detach().gather(1, rows[..., None].expand(-1, -1, correlation.shape[2]))
    low, high = drawn.amin(dim=2, keepdim=True), drawn.amax(dim=2, keepdim=True)
    regions = (drawn - low > 0.5 * (high - low)).to(drawn.dtype)  # (B, K, N)

    # Pixels of each position, by class and sure ones: what regions hold is then a matrix product.
    cells = cell_of_pixel(labels.shape[-2:], size, labels.device)  # (H, W)
    index = (cells * (classes + 1)).expand(batch, -1, -1)
    pixels = drawn.new_zeros(batch, size[0] * size[1] * (classes + 1))
    of_class = labels.where(shown, labels.new_zeros(()))
    pixels.scatter_add_(1, (index + of_class).flatten(1), shown.to(drawn.dtype).flatten(1))
    pixels.scatter_add_(1, (index + classes).flatten(1), (sure * shown).to(drawn.dtype).flatten(1))
    with not_halved(labels.device):
        held = regions @ pixels.view(batch, size[0] * size[1], classes + 1)
    total = held[..., :classes].sum(dim=2).clamp_min(1)
    share, label = (held[..., :classes] / total[..., None]).max(dim=2)
    taken = (share > threshold) & (held[..., classes] / total > threshold)  # (B, K)

    best, which = (regions * (share * taken)[..., None]).max(dim=1)  # (B, N)
    given = (best > 0)[:, cells] & shown
    return torch.where(given, label.gather(1, which)[:, cells], labels), given


def cell_of_pixel(size: tuple[int, ...], cells: tuple[int, int], device: torch.device) -> Tensor:
    """(H, W) int64: the position, of h·w, that each pixel lies in."""
    row, column = (torch.arange(n, device=device) * m // n for n, m in zip(size, cells, strict=True))
    return row[:, None] * cells[1] + column
