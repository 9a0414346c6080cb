"""Coloured masks whose colours are smeared, by JPEG or by smoothed borders: which colours were meant, and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageFilter

from semiseg.data.base import IGNORE, Colour

CLOSE = 48.0  # distance in RGB within which a pixel is surely of a colour
FLAT = 24  # range of a channel among a pixel and its eight neighbours where nothing ends
SHARE = 5e-4  # of the flat pixels that a colour needs
TIGHT, MOST_TIGHT = 24.0, 0.8  # distance within which so large a share of a painted area is of its colour
REACH = 5  # side in pixels of the square in which a border is looked for
ROWS = 256  # of a picture that are looked at at once
EDGE = 16  # channels so near to 0 or 255 are 0 or 255


def flat_pixels(picture: np.ndarray) -> np.ndarray:
    """bool (H, W): where an RGB mask, uint8 (H, W, 3), is of one colour all around."""
    image = Image.fromarray(picture)
    highest, lowest = (np.asarray(image.filter(kind(3)), np.int16) for kind in (ImageFilter.MaxFilter,
                                                                               ImageFilter.MinFilter))  # fmt: skip
    inside: np.ndarray = (highest - lowest).max(axis=2) <= FLAT
    return inside


def meant_colours(pictures: Iterable[np.ndarray], most: int) -> list[Colour] | None:
    """The colours that smeared masks, uint8 (H, W, 3), were painted in, sorted.

    Only flat areas are looked at, in which the commonest colour takes in those that are close to it, and so on. None
    where more than ``most`` appear, or areas that shade into each other as in a photograph.
    """
    counts: Counter[int] = Counter()
    for picture in pictures:
        area = picture[flat_pixels(picture)].astype(np.int32) @ np.array([65536, 256, 1], np.int32)
        codes, times = np.unique(area, return_counts=True)
        counts.update(dict(zip(codes.tolist(), times.tolist(), strict=True)))
    if not counts:
        return None
    codes = np.array([code for code, _ in counts.most_common()])
    times = np.array([count for _, count in counts.most_common()])
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(float)
    found: list[Colour] = []
    left, tight = np.ones(len(codes), bool), 0
    while left.any():
        centre = colours[left][0]
        away = np.linalg.norm(colours - centre, axis=1)
        near = left & (away <= CLOSE)
        tight += times[near & (away <= TIGHT)].sum()
        if times[near].sum() >= SHARE * times.sum():
            found.append(_whole(centre))
        left &= ~near
        if len(found) > most:
            return None
    return sorted(set(found)) if tight >= MOST_TIGHT * times.sum() else None


def nearest(picture: np.ndarray, colours: Sequence[Colour]) -> np.ndarray:
    """The index of the nearest colour of every pixel, uint8 (H, W); 255 where two colours meet and neither is near.

    A pixel that is close to none is ignored only between two colours that are near by: a thin line, of which no pixel
    is close to its colour, stays.
    """
    table = np.array(colours, np.float32)
    index = np.empty(picture.shape[:2], np.uint8)
    close = np.empty(picture.shape[:2], bool)
    for top in range(0, len(picture), ROWS):
        rows = slice(top, top + ROWS)
        away = np.stack([np.linalg.norm(picture[rows].astype(np.float32) - colour, axis=2) for colour in table])
        index[rows], close[rows] = away.argmin(axis=0), away.min(axis=0) <= CLOSE
    around = np.zeros(index.shape, np.uint8)
    for k in range(len(table)):
        here = Image.fromarray(((index == k) & close).astype(np.uint8) * 255)
        around += np.asarray(here.filter(ImageFilter.MaxFilter(REACH))) > 0
    index[~close & (around > 1)] = IGNORE
    return index


def _whole(colour: np.ndarray) -> Colour:
    """A colour with channels near 0 and 255 put there: JPEG misses them by a little."""
    red, green, blue = (0 if v < EDGE else 255 if v > 255 - EDGE else int(v) for v in colour)
    return red, green, blue
