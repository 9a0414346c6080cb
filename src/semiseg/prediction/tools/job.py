"""What all writers get: the images with their masks, and the classes to draw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semiseg.data.base import Colour
from semiseg.data.files import read_mask
from semiseg.data.swatches import told_apart
from semiseg.prediction.tools.outlines import Region, regions

if TYPE_CHECKING:
    from semiseg.data.base import DatasetInfo

BACKGROUND = "background"
BLACK = (0, 0, 0)


@dataclass(frozen=True)
class Annotated:
    """An image file and the file of its predicted mask, a PNG of class numbers at the size of the upright image."""

    image: Path
    mask: Path

    def read(self) -> np.ndarray:
        """The mask, uint8 (H, W)."""
        return read_mask(self.mask).astype(np.uint8)


@dataclass(frozen=True)
class Job:
    """One set of pre-annotations.

    Attributes:
        folder: where its files go.
        info: of the network.
        pictures: the images and masks.
        model: what made them, as the tool shows it.
        masks: write pixels instead of polygons, where the format has both.
        image_url: what stands before an image's path in Label Studio; None: its own address of local files.
    """

    folder: Path
    info: DatasetInfo
    pictures: Sequence[Annotated]
    model: str
    masks: bool = False
    image_url: str | None = None

    @property
    def drawn(self) -> dict[int, str]:
        """Names by number of the classes that are drawn: all but the background, which is what no region covers."""
        return {k: name for k, name in enumerate(self.info.classes) if name != BACKGROUND}

    @property
    def colours(self) -> dict[int, Colour]:
        """Of the drawn classes: distinct, and none of them black, which stands for the background."""
        apart = told_apart([self.info.colours[k] for k in self.drawn], {BLACK})
        return dict(zip(self.drawn, apart, strict=True))

    def regions(self, mask: np.ndarray) -> list[Region]:
        """What is drawn of a mask as polygons."""
        return regions(mask, self.drawn)

    def each(self) -> Iterator[tuple[Annotated, np.ndarray]]:
        """Every image with its mask, read one at a time."""
        for picture in self.pictures:
            yield picture, picture.read()


def hex_colour(colour: Colour) -> str:
    """#rrggbb"""
    return "#" + "".join(f"{value:02x}" for value in colour)


def plain(points: np.ndarray) -> list[float]:
    """Corners (n, 2) as x, y, x, y, …, whole numbers where they are."""
    return [int(value) if value == int(value) else float(value) for value in points.ravel().tolist()]
