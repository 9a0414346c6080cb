"""Label Studio's brush masks: run lengths of single bits, the format "rle-pack" of its web page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def decode_brush(rle: Sequence[int], width: int, height: int) -> np.ndarray:
    """Painted pixels, bool (H, W), of the ``rle`` bytes of a brush region.

    The bits say: 32, how many values; 5, bits of a value less one; 4 x 4, four widths of a count less one. Then, until
    all values are there: 1, whether the value repeats; 2, which width; so many bits, the count less one; and one value,
    or that many. The values are the picture in RGBA; what is not transparent is painted.

    Raises:
        ValueError: the bytes are cut off, or of another size.
    """
    if not isinstance(rle, list):  # bytes(n) would be n zeros
        raise ValueError("the run lengths are no list")
    bits = "".join(f"{byte:08b}" for byte in bytes(rle))
    at = 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        if at > len(bits):
            raise ValueError("the run lengths are cut off")
        return int(bits[at - count : at], 2)

    total = take(32)
    if total != 4 * width * height:
        raise ValueError(f"{total} values for {width}x{height} pixels of 4")
    depth = take(5) + 1
    widths = [take(4) + 1 for _ in range(4)]
    values = np.zeros(total, np.uint32)
    done = 0
    while done < total:
        repeats = take(1)
        count = take(widths[take(2)]) + 1
        if done + count > total:
            raise ValueError("the run lengths exceed the picture")
        values[done : done + count] = take(depth) if repeats else [take(depth) for _ in range(count)]
        done += count
    painted: np.ndarray = values.reshape(height, width, 4)[..., 3] > 0
    return painted
