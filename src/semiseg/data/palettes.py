"""Palettes of mask files: the numbers count, and the colours tell where numbers mean different things."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from semiseg.data.base import Colour
from semiseg.data.pictures import opened


def read_palette(path: Path) -> np.ndarray | None:
    """uint8 (n, 3) colours of a palette file, without decoding it; None of another, and of a ramp of greys."""
    with opened(path) as file:
        if file.mode != "P" or file.palette is None:
            return None
        mode, raw = file.palette.getdata()
    if mode != "RGB":
        return None
    colours = np.frombuffer(bytes(raw), np.uint8).reshape(-1, 3)
    return None if (colours == np.arange(len(colours))[:, None]).all() else colours


def used_colours(path: Path, values: np.ndarray, ignored: Collection[int]) -> dict[int, Colour]:
    """Colour by index of a palette file, for the indices that occur in ``values`` (H, W) and are not ignored."""
    palette = read_palette(path) if values.ndim == 2 else None
    if palette is None:
        return {}
    used = [i for i in np.flatnonzero(np.bincount(values.ravel())).tolist() if i < len(palette) and i not in ignored]
    return {i: (int(palette[i][0]), int(palette[i][1]), int(palette[i][2])) for i in used}


class PalettesSeen:
    """Colours of the indices in the files so far."""

    def __init__(self) -> None:
        self.colours: dict[int, tuple[Colour, str]] = {}
        self.indices: dict[Colour, tuple[int, str, dict[int, Colour]]] = {}

    def contradicts(self, name: str, used: dict[int, Colour]) -> str | None:
        """Take in the colours that a file uses; a sentence where they contradict those of an earlier one."""
        for index, colour in used.items():
            other, where = self.colours.setdefault(index, (colour, name))
            if other != colour:
                return f"its palette and that of {where} differ: {index} is {colour} here, {other} there"
            number, where, others = self.indices.setdefault(colour, (index, name, used))
            if number != index and used.get(number) != colour and others.get(index) != colour:
                return f"its palette and that of {where} differ: {colour} is {index} here, {number} there"
        return None
