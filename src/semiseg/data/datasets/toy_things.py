"""What stands in a toy street: trees, cars, people and signs, each drawn once with a random look.

``horizon`` is the row of the horizon and ``vanish`` the column of the vanishing point, both in drawn pixels; ``near``
is 1 at the camera and falls with the distance.
"""

from __future__ import annotations

from semiseg.data.datasets.toy_canvas import CAR, PERSON, SIGN, TREE, Canvas


def draw_tree(c: Canvas, horizon: float, vanish: float) -> None:
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


def draw_car(c: Canvas, horizon: float, vanish: float, near: float) -> None:
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


def draw_person(c: Canvas, horizon: float, vanish: float, near: float) -> None:
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


def draw_sign(c: Canvas, horizon: float, vanish: float, near: float) -> None:
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
