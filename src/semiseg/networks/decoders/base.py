"""What every decoder offers: it takes the maps it needs and turns them into features V."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class Decoder(nn.Module):
    """Base of all decoders."""

    def take(self, maps: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
        """The maps that :meth:`forward` reads, the backbone's last one last.

        Args:
            maps: all that a backbone gives, see :class:`~semiseg.networks.backbones.base.Backbone`.
            size: (height, width) of the image in pixels.
        """
        raise NotImplementedError

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """What :meth:`take` gave → V (B, D, h, w)."""
        raise NotImplementedError
