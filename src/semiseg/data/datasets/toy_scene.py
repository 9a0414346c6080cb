"""Drawing one toy street. Image and label are drawn together at twice the size: the image is averaged down, the label
takes one of each four pixels, so both show the same edges to half a pixel.
"""

from __future__ import annotations

import colorsys
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

CLASSES = ("road", "pavement", "building", "tree", "sky", "car", "person", "sign")
COLOURS = ((128, 64, 128), (244, 35, 232), (70, 70, 70), (107, 142, 35), (70, 130, 180), (0, 0, 142), (220, 20, 60),
           (220, 220, 0))  # fmt: skip
ROAD, PAVEMENT, BUILDING, TREE, SKY, CAR, PERSON, SIGN = range(len(CLASSES))
LOOKS = ("camera", "game")
SCALE = 2  # drawn pixels per image pixel

Colour = tuple[int, int, int]
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

    def __init__(self, size: tuple[int, int], style: Style, rng: np.random.Generator) -> None:
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


def render(rng: np.random.Generator, size: tuple[int, int], look: str) -> tuple[np.ndarray, np.ndarray]:
    """One scene: image uint8 (H, W, 3) and label uint8 (H, W), for ``size`` = (height, width)."""
    canvas = Canvas(size, STYLES[look], rng)
    w, h = canvas.width, canvas.height
    horizon = h * rng.uniform(0.25, 0.6)
    vanish = w * rng.uniform(0.2, 0.8)
    _sky(canvas, horizon)
    _ground(canvas, horizon, vanish)
    for _ in range(rng.integers(2, 6)):
        _tree(canvas, horizon, vanish)
    things = [(_car, rng.integers(0, 4)), (_person, rng.integers(0, 3)), (_sign, rng.integers(0, 3))]
    queue = [(float(rng.uniform(0.12, 1.0)), thing) for thing, count in things for _ in range(int(count))]
    for near, thing in sorted(queue, key=lambda entry: entry[0]):  # far things first, so near ones hide them
        thing(canvas, horizon, vanish, near)
    label = np.asarray(canvas.label)[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE].copy()
    image = canvas.image if look == "game" else _through_camera(canvas, horizon)
    small = image.resize((size[1], size[0]), Image.Resampling.BOX)
    pixels = np.asarray(small).astype(np.float32)
    if look == "camera":
        pixels += rng.normal(0, rng.uniform(2, 11), pixels.shape).astype(np.float32)
    return np.clip(pixels, 0, 255).astype(np.uint8), label


def _sky(c: Canvas, horizon: float) -> None:
    kind = c.rng.choice(3)
    top, low = (
        (c.colour(0.58, 0.5, 0.8), c.colour(0.57, 0.2, 0.92)),
        (c.colour(0.6, 0.04, 0.72), c.colour(0.6, 0.03, 0.85)),  # overcast: as grey as concrete
        (c.colour(0.65, 0.3, 0.45), c.colour(0.07, 0.5, 0.85)),  # dusk
    )[kind]
    column = np.linspace(0, 1, c.height)[:, None] * c.height / max(horizon, 1)
    sky = np.array(top) + np.clip(column, 0, 1) * (np.array(low) - np.array(top))
    c.image.paste(Image.fromarray(np.repeat(sky[:, None], c.width, 1).astype(np.uint8)))


def _ground(c: Canvas, horizon: float, vanish: float) -> None:
    w, h, rng = c.width, c.height, c.rng
    # Slabs, asphalt, brick, sand, grass: the same greys and browns as walls, roads and cars.
    grounds = [(0.1, 0.08, 0.65), (0.6, 0.04, 0.35), (0.04, 0.4, 0.5), (0.12, 0.35, 0.75), (0.28, 0.35, 0.4)]
    pavement = c.colour(*grounds[rng.choice(len(grounds))])
    c.box(0, horizon, w, h, PAVEMENT, pavement)
    for side in (-1, 1):
        _buildings(c, horizon, vanish, side)
    left, right = w * rng.uniform(-0.3, 0.3), w * rng.uniform(0.7, 1.3)
    roads = [(0.6, 0.05, float(rng.uniform(0.2, 0.65))), (0.08, 0.2, 0.6), (0.02, 0.3, 0.4)]
    road = c.colour(*roads[rng.choice(3, p=[0.6, 0.2, 0.2])])
    narrow = w * rng.uniform(0.01, 0.05)
    c.polygon([(vanish - narrow, horizon), (vanish + narrow, horizon), (right, h), (left, h)], ROAD, road)
    c.road = (left, right)
    if rng.random() < 0.7:
        paint = c.colour(0.14, 0.1, 0.85)
        for k in range(1, 6):
            near, far = 1 / k, 1 / (k + 0.5)
            x = (left + right) / 2
            points = [(vanish + (x - vanish) * t + side * 0.012 * w * t, horizon + (h - horizon) * t)
                      for t, side in ((near, -1), (near, 1), (far, 1), (far, -1))]  # fmt: skip
            c.mark(points, paint)


def _buildings(c: Canvas, horizon: float, vanish: float, side: int) -> None:
    """A row of fronts from the image's edge to the vanishing point."""
    rng, w = c.rng, c.width
    edge = 0.0 if side < 0 else float(w)
    stops = np.sort(rng.uniform(0.08, 0.85, rng.integers(1, 4)))[::-1]
    bounds = [1.0, *stops.tolist()]
    foot = c.height * rng.uniform(0.02, 0.2)
    for near, far in pairwise(bounds):
        if rng.random() < 0.15:
            continue
        tall = horizon * rng.uniform(0.4, 1.4)
        wall = c.colour(*c.style.walls[rng.choice(len(c.style.walls))])
        x0, x1 = vanish + (edge - vanish) * near, vanish + (edge - vanish) * far
        corners = [(x0, horizon - tall * near), (x1, horizon - tall * far),
                   (x1, horizon + foot * far), (x0, horizon + foot * near)]  # fmt: skip
        c.polygon(corners, BUILDING, wall)
        pane = c.colour(0.6, 0.15, float(rng.choice([0.2, 0.35, 0.9])))
        rows, columns = int(rng.integers(2, 6)), int(rng.integers(2, 5))
        for r in range(rows):
            for k in range(columns):
                u, v = (k + 0.25) / columns, (r + 0.3) / rows * 0.85
                pane_corners = ((0, 0), (0.5 / columns, 0), (0.5 / columns, 0.45 / rows), (0, 0.45 / rows))
                c.mark([_on_wall(corners, u + du, v + dv) for du, dv in pane_corners], pane)


def _on_wall(corners: list[Point], u: float, v: float) -> Point:
    (ax, ay), (bx, by), (_, cy), (_, dy) = corners
    top, low = ay + (by - ay) * u, dy + (cy - dy) * u
    return ax + (bx - ax) * u, top + (low - top) * v


def _tree(c: Canvas, horizon: float, vanish: float) -> None:
    rng, near = c.rng, float(c.rng.uniform(0.2, 1))
    side = rng.choice([-1, 1])
    x = vanish + side * c.width * rng.uniform(0.25, 0.6) * near
    foot = horizon + (c.height - horizon) * 0.3 * near
    tall, wide = c.height * rng.uniform(0.25, 0.6) * near, c.width * rng.uniform(0.05, 0.13) * near
    bark = c.colour(0.07, 0.35, 0.3)
    c.box(x - wide * 0.12, foot - tall * 0.6, x + wide * 0.12, foot, TREE, bark)
    leaf_hue, value = [(0.28, 0.35), (0.22, 0.5), (0.1, 0.5), (0.33, 0.25)][rng.choice(4)]
    for _ in range(rng.integers(3, 7)):
        dx, dy = rng.normal(0, 0.45, 2) * wide
        leaves = c.colour(leaf_hue, 0.5, value)
        y = foot - tall * 0.75 + dy
        c.ellipse(x + dx - wide * 0.7, y - tall * 0.22, x + dx + wide * 0.7, y + tall * 0.22, TREE, leaves)


def _car(c: Canvas, horizon: float, vanish: float, near: float) -> None:
    rng, w, h = c.rng, c.width, c.height
    left, right = c.road
    t = 0.15 + 0.85 * near
    x = vanish + (left + (right - left) * rng.uniform(0.1, 0.9) - vanish) * t
    foot = horizon + (h - horizon) * t * rng.uniform(0.75, 0.95)
    side_view = rng.random() < 0.3
    wide = w * (0.34 if side_view else 0.2) * t * rng.uniform(0.8, 1.2)
    tall = w * 0.13 * t * rng.uniform(0.8, 1.3)
    hue, saturation = (float(rng.random()), 0.6) if rng.random() < 0.5 else (0.6, 0.03)
    body = c.colour(hue, saturation, float(rng.uniform(0.15, 0.9)))
    c.mark([(x - wide * 0.6, foot), (x + wide * 0.6, foot), (x + wide * 0.5, foot + tall * 0.12),
            (x - wide * 0.5, foot + tall * 0.12)], (25, 25, 28))  # fmt: skip
    glass, tyre = c.colour(0.58, 0.2, float(rng.choice([0.2, 0.6]))), c.colour(0.6, 0.02, 0.1)
    inset = 0.25 if side_view else 0.15
    c.polygon([(x - wide * (0.5 - inset), foot - tall), (x + wide * (0.5 - inset), foot - tall),
               (x + wide * 0.45, foot - tall * 0.5), (x - wide * 0.45, foot - tall * 0.5)], CAR, glass)  # fmt: skip
    c.box(x - wide * 0.5, foot - tall * 0.55, x + wide * 0.5, foot - tall * 0.1, CAR, body)
    for at in (-0.33, 0.33):
        radius = tall * (0.2 if side_view else 0.14)
        c.ellipse(x + at * wide - radius, foot - 2 * radius, x + at * wide + radius, foot, CAR, tyre)
    if not side_view:
        lamp = c.colour(0.0, 0.8, 0.8) if rng.random() < 0.5 else c.colour(0.14, 0.2, 0.95)
        for at in (-0.4, 0.32):
            c.box(x + at * wide, foot - tall * 0.45, x + (at + 0.08) * wide, foot - tall * 0.35, CAR, lamp)


def _person(c: Canvas, horizon: float, vanish: float, near: float) -> None:
    rng, w, h = c.rng, c.width, c.height
    t = 0.25 + 0.6 * near
    x = vanish + rng.choice([-1, 1]) * w * rng.uniform(0.12, 0.55) * t
    foot = horizon + (h - horizon) * rng.uniform(0.25, 0.7) * t
    tall = h * 0.6 * t * rng.uniform(0.8, 1.1)
    wide = tall * 0.17
    skin = c.colour(0.06, 0.4, float(rng.uniform(0.3, 0.85)))
    coat = c.colour(float(rng.random()), 0.45, float(rng.uniform(0.15, 0.8)))
    legs = c.colour(0.62, 0.25, float(rng.uniform(0.1, 0.5)))
    for at in (-0.75, 0.1):
        c.box(x + at * wide, foot - tall * 0.48, x + (at + 0.65) * wide, foot, PERSON, legs)
    c.ellipse(x - wide, foot - tall * 0.85, x + wide, foot - tall * 0.4, PERSON, coat)
    c.ellipse(x - wide * 0.5, foot - tall, x + wide * 0.5, foot - tall * 0.82, PERSON, skin)


def _sign(c: Canvas, horizon: float, vanish: float, near: float) -> None:
    rng, w, h = c.rng, c.width, c.height
    t = 0.25 + 0.65 * near
    x = vanish + rng.choice([-1, 1]) * w * rng.uniform(0.2, 0.5) * t
    foot = horizon + (h - horizon) * 0.35 * t
    tall, half = h * 0.6 * t * rng.uniform(0.8, 1.1), w * 0.065 * t
    c.box(x - half * 0.2, foot - tall, x + half * 0.2, foot, SIGN, c.colour(0.6, 0.03, 0.55))
    y = foot - tall
    face = c.colour(*[(0.0, 0.75, 0.7), (0.61, 0.7, 0.6), (0.14, 0.7, 0.85), (0.35, 0.5, 0.4)][rng.choice(4)])
    if rng.random() < 0.5:
        c.ellipse(x - half, y - half, x + half, y + half, SIGN, face)
    else:
        c.polygon([(x, y - half), (x + half, y + half), (x - half, y + half)], SIGN, face)
    c.mark([(x - half * 0.4, y), (x + half * 0.4, y), (x + half * 0.4, y + half * 0.3),
            (x - half * 0.4, y + half * 0.3)], (235, 235, 235))  # fmt: skip


def _through_camera(c: Canvas, horizon: float) -> Image.Image:
    """Texture, cast shadows, light, haze and blur: what makes two photographs of one street differ."""
    rng, (h, w) = c.rng, (c.height, c.width)
    pixels = np.asarray(c.image).astype(np.float32) / 255
    label = np.asarray(c.label)
    grain = Image.fromarray(rng.integers(0, 256, (h // 6, w // 6), dtype=np.uint8))
    coarse = grain.resize((w, h), Image.Resampling.BILINEAR)
    texture = (np.asarray(coarse).astype(np.float32) / 255 - 0.5) * rng.uniform(0.05, 0.35)
    strength = np.array([0.6, 0.7, 0.6, 1.6, 0.25, 0.3, 0.5, 0.3], np.float32)[label]  # leaves are rough, sky is not
    pixels *= (1 + texture * strength)[..., None]
    if rng.random() < 0.6:  # a shadow across the street
        x = np.linspace(0, 1, w)[None] + rng.uniform(-0.7, 0.7) * np.linspace(0, 1, h)[:, None]
        start = rng.uniform(-0.2, 0.8)
        dark = ((x > start) & (x < start + rng.uniform(0.15, 0.6)) & (label != SKY))[..., None]
        pixels = np.where(dark, pixels * rng.uniform(0.45, 0.8), pixels)
    depth = np.clip(1 - (np.arange(h)[:, None, None] - horizon) / (h - horizon), 0, 1)
    haze = rng.uniform(0, 0.75) * rng.random() * depth * (label != SKY)[..., None]
    veil = np.array([0.75, 0.78, 0.82]) * rng.uniform(0.7, 1.15)
    pixels = pixels * (1 - haze) + veil * haze
    light = rng.uniform(0.3, 1.25) * (1 + rng.normal(0, 0.12, 3))
    pixels = np.clip(pixels * light, 0, 1) ** rng.uniform(0.8, 1.35)
    seen = Image.fromarray((pixels * 255).astype(np.uint8))
    return seen.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 1.4))))
