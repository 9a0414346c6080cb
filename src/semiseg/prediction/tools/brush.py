"""Label Studio's brush masks, written; :mod:`semiseg.data.convert.brush` reads them and says what the bits mean."""

from __future__ import annotations

import numpy as np

_WIDTHS = (3, 4, 8, 16)  # bits of a count less one
_DEPTH = 8  # bits of a value


def encode_brush(painted: np.ndarray) -> list[int]:
    """The ``rle`` bytes of painted pixels, bool (H, W): the picture in RGBA, white where painted, else transparent."""
    flat = painted.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [len(flat)]])
    bits = [f"{4 * len(flat):032b}", f"{_DEPTH - 1:05b}", *(f"{width - 1:04b}" for width in _WIDTHS)]
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        value = f"{255 if flat[start] else 0:0{_DEPTH}b}"
        left = 4 * (stop - start)
        while left:
            count = min(left, 1 << _WIDTHS[-1])
            k = next(k for k, width in enumerate(_WIDTHS) if count <= 1 << width)
            bits.append(f"1{k:02b}{count - 1:0{_WIDTHS[k]}b}{value}")
            left -= count
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))
