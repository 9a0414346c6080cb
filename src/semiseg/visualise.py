"""Masks as colours, masks over images, and contact sheets that set several predictions side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from semiseg.data.base import Colour
from semiseg.errors import UsageError

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_GAP = 8
_FONT_SIZE = 16
_LINE = 24
_INK = (20, 20, 20)
_PAPER = (255, 255, 255)


def palette(colours: Sequence[Colour]) -> np.ndarray:
    """Class colours as a table of all 256 byte values: uint8 (256, 3), black beyond the classes.

    Raises:
        UsageError: more than 256 classes.
    """
    if len(colours) > 256:
        raise UsageError(f"{len(colours)} classes do not fit a mask of bytes: at most 256")
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(colours)] = np.asarray(colours, dtype=np.uint8).reshape(-1, 3)
    return table


def colourise(mask: np.ndarray, colours: Sequence[Colour]) -> np.ndarray:
    """Integer classes (H,W) in 0..255 -> uint8 (H,W,3); ignored and unknown values are black.

    Raises:
        UsageError: not such a mask.
    """
    if mask.ndim != 2 or not np.issubdtype(mask.dtype, np.integer):
        raise UsageError(f"a mask is an integer (H,W) array, not {mask.dtype} {mask.shape}")
    if mask.size and not 0 <= mask.min() <= mask.max() <= 255:
        raise UsageError(f"mask values {mask.min()}..{mask.max()} do not fit 0..255")
    picture: np.ndarray = palette(colours)[mask]
    return picture


def as_rgb(image: np.ndarray, shown: tuple[int, int, int] | None = None) -> np.ndarray:
    """An image of any channels as a picture: uint8 (H,W,C) -> uint8 (H,W,3); three channels as they are.

    ``shown`` are three of the channels, counted from 1, for red, green and blue. None: the first three, or the first in
    grey where there are fewer.
    """
    channels = image.shape[2]
    if channels == 3 and shown is None:
        return image
    first = (1, 2, 3) if channels > 2 else (1, 1, 1)
    return np.ascontiguousarray(image[..., [i - 1 for i in shown or first]])


def overlay(image: np.ndarray, mask: np.ndarray, colours: Sequence[Colour], alpha: float = 0.5) -> np.ndarray:
    """Class colours at opacity ``alpha`` in [0,1] over an image: uint8 (H,W,3), classes (H,W) -> uint8 (H,W,3).

    Pixels that belong to no class (ignored ones) show the image as it is.

    Raises:
        UsageError: the sizes differ, or ``alpha`` is out of range.
    """
    if image.dtype != np.uint8 or image.shape != (*mask.shape, 3):
        raise UsageError(f"image {image.dtype} {image.shape} and mask {mask.shape} must be uint8 (H,W,3) and (H,W)")
    if not 0 <= alpha <= 1:
        raise UsageError(f"alpha is {alpha}: it must lie in 0..1")
    picture = image.copy()
    for top in range(0, len(mask), 256):  # the sum is made in 64 bits: never of a whole large image
        rows = slice(top, top + 256)
        mixed = (1 - alpha) * image[rows] + alpha * colourise(mask[rows], colours)
        known = (mask[rows] < len(colours))[..., None]
        picture[rows] = np.where(known, np.rint(mixed).astype(np.uint8), image[rows])
    return picture


def comparison_picture(
    rows: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str],
    legend: Sequence[tuple[str, Colour]],
    path: str | Path,
    cell_width: int = 320,
    captions: Sequence[str] = (),
) -> Path:
    """Write a PNG with a titled column for each array of a row and the classes' colours below.

    Arrays are uint8 (H,W,3) or (H,W); each is scaled to ``cell_width`` pixels, its proportions kept. A row is for
    example input, truth, supervised, semi-supervised; ``captions``, one for each row where there are any, stand above
    them.

    Raises:
        UsageError: no rows, a row without one array for each title, or another number of captions than of rows.
    """
    if not rows or not titles or any(len(row) != len(titles) for row in rows):
        raise UsageError(
            f"every row needs {len(titles)} pictures, one for each title; got {[len(row) for row in rows]}"
        )
    if captions and len(captions) != len(rows):
        raise UsageError(f"{len(rows)} rows need as many captions; got {len(captions)}")
    cells = [[_scaled(array, cell_width) for array in row] for row in rows]
    font = ImageFont.load_default(_FONT_SIZE)
    width = _GAP + len(titles) * (cell_width + _GAP)
    lines = _legend_lines([name for name, _ in legend], font, width - 2 * _GAP)
    tops, top = [], _LINE + _GAP
    for row in cells:
        top += _LINE if captions else 0
        tops.append(top)
        top += max(cell.height for cell in row) + _GAP
    height = top + (len(lines) * _LINE + _GAP if lines else 0)

    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        x = _GAP + column * (cell_width + _GAP)
        draw.text((x, _LINE // 2 + _GAP // 2), _shortened(title, font, cell_width), _INK, font, anchor="lm")
        for row, y in zip(cells, tops, strict=True):
            sheet.paste(row[column], (x, y))
    for text, y in zip(captions, tops, strict=False):
        draw.text((_GAP, y - _LINE // 2), _shortened(text, font, width - 2 * _GAP), _INK, font, anchor="lm")
    for line, entries in enumerate(lines):
        for number, x in entries:
            _draw_entry(draw, font, legend[number], _GAP + x, top + line * _LINE + _LINE // 2, width - 2 * _GAP)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, format="PNG")
    return path


def _draw_entry(
    draw: ImageDraw.ImageDraw, font: Font, entry: tuple[str, Colour], left: int, middle: int, width: int
) -> None:
    """A class of the legend, its swatch and its name, about the line at height ``middle``."""
    name, colour = entry
    half = _FONT_SIZE // 2
    draw.rectangle((left, middle - half, left + _FONT_SIZE, middle + half), fill=tuple(colour), outline=_INK)
    text = _shortened(name, font, width - _FONT_SIZE - 6)
    draw.text((left + _FONT_SIZE + 6, middle), text, _INK, font, anchor="lm")


def _scaled(array: np.ndarray, width: int) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise UsageError(f"a picture is uint8 (H,W,3) or (H,W), not {array.dtype} {array.shape}")
    picture = Image.fromarray(np.ascontiguousarray(array)).convert("RGB")
    size = (width, max(1, round(picture.height * width / picture.width)))
    # Enlarged pixels keep their class's exact colour; reduced ones are averaged, so that thin things do not
    # vanish.
    return picture.resize(size, Image.Resampling.NEAREST if width >= picture.width else Image.Resampling.BOX)


def _shortened(text: str, font: Font, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def _legend_lines(names: Sequence[str], font: Font, width: int) -> list[list[tuple[int, int]]]:
    """Where each entry goes, as lines of (entry, x): as many in a line as fit the width."""
    lines: list[list[tuple[int, int]]] = []
    x = width + 1
    for entry, name in enumerate(names):
        needed = _FONT_SIZE + 6 + int(np.ceil(font.getlength(name)))
        if x + needed > width or not lines:
            lines.append([])
            x = 0
        lines[-1].append((entry, x))
        x += needed + 2 * _GAP
    return lines
