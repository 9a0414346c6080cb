"""The pen that draws toy streets: image and label together, at twice the size.

The image is averaged down and the label takes one of each four pixels, so both show the same edges to half a pixel.
"""

from __future__ import annotations

import colorsys
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from semiseg.data.base import Colour, Size

CLASSES = ("road", "pavement", "building", "tree", "sky", "car", "person", "sign")
COLOURS = ((128, 64, 128), (244, 35, 232), (70, 70, 70), (107, 142, 35), (70, 130, 180), (0, 0, 142), (220, 20, 60),
           (220, 220, 0))  # fmt: skip
ROAD, PAVEMENT, BUILDING, TREE, SKY, CAR, PERSON, SIGN = range(len(CLASSES))
SCALE = 2  # drawn pixels per image pixel

Point = tuple[float, float]


class Style(NamedTuple):
    """How colours are chosen: hue ranges per kind of thing, and whether edges are outlined."""

    outlined: bool
    saturation: float  # factor
    walls: tuple[tuple[float, float, float], ...]  # hue, saturation, value of the wall families


STYLES = {
    "camera": Style(False, 1.0, ((0.03, 0.5, 0.5), (0.08, 0.25, 0.7), (0.6, 0.08, 0.5), (0.1, 0.05, 0.85),
                                 (0.55, 0.3, 0.45), (0.0, 0.0, 0.35), (0.3, 0.15, 0.5), (0.12, 0.45, 0.75))),
    "game": Style(True, 1.6, ((0.75, 0.5, 0.7), (0.5, 0.45, 0.8), (0.95, 0.4, 0.8), (0.14, 0.6, 0.9))),
}  # fmt: skip


class Canvas:
    """Image and label under one pen."""

    def __init__(self, size: Size, style: Style, rng: np.random.Generator) -> None:
        self.height, self.width = size[0] * SCALE, size[1] * SCALE
        self.image = Image.new("RGB", (self.width, self.height))
        self.label = Image.new("L", (self.width, self.height), SKY)
        self.pens = ImageDraw.Draw(self.image), ImageDraw.Draw(self.label)
        self.style, self.rng = style, rng
        self.road = (0.0, float(self.width))  # left and right edge at the bottom

    def colour(self, hue: float, saturation: float, value: float, spread: float = 0.06) -> Colour:
        """An RGB colour near the given HSV one."""
        wanted = np.array([hue, saturation * self.style.saturation, value])
        h, s, v = wanted + self.rng.normal(0, [0.03, spread, spread])
        red, green, blue = colorsys.hsv_to_rgb(h % 1, float(np.clip(s, 0, 1)), float(np.clip(v, 0.03, 1)))
        return round(255 * red), round(255 * green), round(255 * blue)

    def polygon(self, points: list[Point], kind: int, colour: Colour) -> None:
        self.pens[0].polygon(points, fill=colour, outline=(20, 20, 20) if self.style.outlined else None)
        self.pens[1].polygon(points, fill=kind)

    def box(self, left: float, top: float, right: float, bottom: float, kind: int, colour: Colour) -> None:
        if right - left >= 1 and bottom - top >= 1:
            self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], kind, colour)

    def ellipse(self, left: float, top: float, right: float, bottom: float, kind: int, colour: Colour) -> None:
        box = [left, top, max(right, left + 1), max(bottom, top + 1)]
        self.pens[0].ellipse(box, fill=colour, outline=(20, 20, 20) if self.style.outlined else None)
        self.pens[1].ellipse(box, fill=kind)

    def mark(self, points: list[Point], colour: Colour) -> None:
        """Colour without a change of class: lane marks, windows, shadows."""
        self.pens[0].polygon(points, fill=colour)
