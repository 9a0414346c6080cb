"""Images that are too large to read whole, as many images of one tile each: only windows of their files are read."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from semiseg.data.base import IGNORE, ImageSet, Size
from semiseg.data.files import ImageFiles
from semiseg.data.rasters.reader import PixelReader
from semiseg.data.windows import Window, tiles_of
from semiseg.errors import SemisegError


class Tile(NamedTuple):
    """One tile: the image's name, and its window; None for a whole image."""

    image: str
    window: Window | None


class TiledImages(ImageSet):
    """An image set whose large images are tiles, named ``IMAGE_yTOP_xLEFT``; smaller images stay as they are.

    A tile of which no pixel has a class is unlabelled, so that a large picture may be labelled in parts.

    Args:
        images: files.
        reader: reads their windows.
        side: of a tile in pixels, at most.

    Raises:
        SemisegError: two tiles would have one name, or an image cannot be read.
    """

    def __init__(self, images: ImageFiles, reader: PixelReader, side: int) -> None:
        self.images, self.reader, self.side = images, reader, side
        self.info, self.remarks = images.info, images.remarks
        self.tiles: dict[str, Tile] = {}
        self._labelled: dict[str, bool] = {}
        for name in images.names:
            size = reader.size(images.files[name])
            if max(size) <= side:
                found = {name: Tile(name, None)}
            else:
                digits = len(str(max(size)))
                found = {
                    f"{name}_y{window.top:0{digits}}_x{window.left:0{digits}}": Tile(name, window)
                    for window in tiles_of(size, side)
                }
            if shared := found.keys() & self.tiles.keys():
                raise SemisegError(f"an image and a tile of another would both be called {min(shared)}; rename one")
            self.tiles |= found
        self.names = sorted(self.tiles)

    def image(self, i: int) -> np.ndarray:
        tile = self.tiles[self.names[i]]
        return self.reader.image(self.images.files[tile.image], tile.window)

    def size_of(self, i: int) -> Size:
        tile = self.tiles[self.names[i]]
        path = self.images.files[tile.image]
        return self.reader.size(path) if tile.window is None else (tile.window.height, tile.window.width)

    def blank(self, i: int) -> np.ndarray | None:
        tile = self.tiles[self.names[i]]
        return self.reader.blank(self.images.files[tile.image], tile.window)

    def label(self, i: int) -> np.ndarray | None:
        if not self.has_label(i):
            return None
        label, blank = self._classes(i), self.blank(i)
        return label if blank is None else np.where(blank, np.uint8(IGNORE), label)

    def has_label(self, i: int) -> bool:
        name = self.names[i]
        tile = self.tiles[name]
        if tile.image not in self.images.masks:
            return False
        if tile.window is None:
            return True
        if name not in self._labelled:  # a mask that cannot be read counts: whoever reads it says what is wrong
            try:
                self._labelled[name] = bool((self._classes(i) != IGNORE).any())
            except SemisegError:
                self._labelled[name] = True
        return self._labelled[name]

    def _classes(self, i: int) -> np.ndarray:
        """uint8 (h, w) of a tile's part of its mask."""
        tile = self.tiles[self.names[i]]
        path: Path = self.images.masks[tile.image]
        return self.images.read_label_window(path, self.images.files[tile.image], tile.window)
