"""Toy streets: the embedded data set, drawn on demand. Street-like scenes with exact labels in two looks.

The look of a scene (light, haze, palettes, textures) changes strongly from image to image and the colours of the
classes overlap, so a dozen labelled images do not show it all, while the unlabelled ones do.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from semiseg.data.base import DatasetInfo, ImageSet, Size
from semiseg.data.datasets.toy_canvas import CLASSES, COLOURS, STYLES
from semiseg.data.datasets.toy_scene import render
from semiseg.data.samplers import generator
from semiseg.errors import UsageError

INFO = DatasetInfo("toy streets", CLASSES, COLOURS)


class ToyStreets(ImageSet):
    """``count`` scenes; scene i depends on (seed, stream, look, i) alone, so any order gives the same pixels.

    Args:
        count: number of images.
        size: (height, width) in pixels.
        look: ``camera`` (light, haze, noise, blur) or ``game`` (flat, saturated, outlined): a domain gap.
        seed: another seed is another town.
        stream: train and val are different streams of scenes.
    """

    info = INFO

    def __init__(
        self,
        count: int,
        size: Size = (96, 128),
        look: str = "camera",
        seed: int = 0,
        stream: str = "train",
    ) -> None:
        if look not in STYLES:
            raise UsageError(f"toy streets have no look {look!r}; choose one of {', '.join(STYLES)}")
        if count < 1 or min(size) < 16:
            raise UsageError(f"toy streets: {count} images of {size} pixels; give at least one of at least 16x16")
        self.names = [f"{look}_{stream}_{i:05d}" for i in range(count)]
        self.size, self.look, self.seed, self.stream = (int(size[0]), int(size[1])), look, seed, stream
        self._drawn: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._lock = Lock()

    def image(self, i: int) -> np.ndarray:
        return self._scene(i)[0]

    def label(self, i: int) -> np.ndarray | None:
        return self._scene(i)[1]

    def has_label(self, i: int) -> bool:
        return True

    def _scene(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        with self._lock:
            if i not in self._drawn:
                draws = generator(self.seed, f"toy streets {self.look} {self.stream}", i)
                self._drawn[i] = render(draws, self.size, self.look)
            return self._drawn[i]


def open_toy_streets(
    root: str | Path | None,
    split: str,
    *,
    look: str = "camera",
    train: int = 240,
    val: int = 60,
    size: tuple[int, int] | list[int] = (96, 128),
    seed: int = 0,
    **unknown: Any,
) -> ToyStreets:
    """Open ``train`` or ``val``; nothing is read from disk, so ``root`` has no meaning.

    Raises:
        UsageError: another split, look or option.
    """
    if unknown:
        raise UsageError(f"toy streets have no option {sorted(unknown)[0]!r}; there are look, train, val, size, seed")
    if split not in ("train", "val"):
        raise UsageError(f"toy streets have no split {split!r}; choose train or val")
    return ToyStreets({"train": train, "val": val}[split], (size[0], size[1]), look, seed, split)
