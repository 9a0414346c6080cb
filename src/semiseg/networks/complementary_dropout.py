"""Complementary dropout (UniMatch V2, Yang et al. 2024): a channel that one view loses is the other's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from semiseg.networks.output import Output
from semiseg.networks.segmentation import SegmentationNetwork


def complementary_masks(
    images: int, widths: Iterable[int], generator: torch.Generator, dropped: float = 0.5
) -> dict[int, Tensor]:
    """Factors of the channels of two views of each image: m_1 is 0 or 2, with equal chances, and m_2 = 2 - m_1.

    Maps of one width share their mask, as those of a transformer do: a channel means the same in all of them.

    Args:
        images: B.
        widths: of the maps, in which a width may come again.
        generator: CPU generator.
        dropped: share of the images that lose channels, rounded up to whole images; both factors of the others are 1.

    Returns:
        By width, (2·B, width) float32: those of all first views, then of all second ones.
    """
    count = images - int(images * (1 - dropped))
    chosen = torch.randperm(images, generator=generator) < count
    masks = {}
    for width in sorted(set(widths)):
        first = 2.0 * (torch.rand(images, width, generator=generator) < 0.5)
        first = torch.where(chosen[:, None], first, 1.0)
        masks[width] = torch.cat([first, 2 - first])
    return masks


class Dropped(nn.Module):
    """A segmentation network whose maps are multiplied channel by channel on their way to the decoder.

    Args:
        network: trained through this.
        masks: by width of a map, (B, width) factors.
    """

    def __init__(self, network: SegmentationNetwork, masks: Mapping[int, Tensor]) -> None:
        super().__init__()
        self.network, self.masks = network, masks

    def forward(self, images: Tensor) -> Output:
        """images (B, 3, H, W), as many as the masks have rows → as :meth:`SegmentationNetwork.forward`."""
        maps = self.network.encode(images)
        factors = (self.masks[found.shape[1]].to(found, non_blocking=True)[:, :, None, None] for found in maps)
        return self.network.decode([found * factor for found, factor in zip(maps, factors, strict=True)])
