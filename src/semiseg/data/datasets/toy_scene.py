"""Drawing one toy street: sky, ground and fronts, what stands in it, and what a camera makes of it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from PIL import Image, ImageFilter

from semiseg.data.base import Size
from semiseg.data.datasets.toy_canvas import BUILDING, PAVEMENT, ROAD, SCALE, SKY, STYLES, Canvas, Point
from semiseg.data.datasets.toy_things import draw_car, draw_person, draw_sign, draw_tree


def render(rng: np.random.Generator, size: Size, look: str) -> tuple[np.ndarray, np.ndarray]:
    """One scene: image uint8 (H, W, 3) and label uint8 (H, W), for ``size`` = (height, width)."""
    canvas = Canvas(size, STYLES[look], rng)
    w, h = canvas.width, canvas.height
    horizon = h * rng.uniform(0.25, 0.6)
    vanish = w * rng.uniform(0.2, 0.8)
    _sky(canvas, horizon)
    _ground(canvas, horizon, vanish)
    for _ in range(rng.integers(2, 6)):
        draw_tree(canvas, horizon, vanish)
    things = [(draw_car, rng.integers(0, 4)), (draw_person, rng.integers(0, 3)), (draw_sign, rng.integers(0, 3))]
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
